// jwks-rsa requires jose, an ES module, which jest can do only once it has been evaluated.
import 'jose';
