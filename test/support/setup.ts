// jwks-rsa requires jose, an ES module. jest can do so only after it was evaluated.
import 'jose';
