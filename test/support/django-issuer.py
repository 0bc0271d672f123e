"""A Django project in one file, with django-oauth-toolkit as OpenID provider.

Arguments: port, address of the web app, path of a new SQLite database.
"""
import sys
import time
import uuid

import django
from django.conf import settings
from django.core.management import call_command
from jwcrypto import jwk, jwt

PORT, WEB, DATABASE = sys.argv[1:]
ISSUER = f"http://localhost:{PORT}/o"
AUDIENCE = "https://contacts.example.com/api"
SCOPES = (
    "openid profile email offline_access "
    "read:contacts create:contacts update:contacts delete:contacts read:activity"
).split()
KEY = jwk.JWK.generate(kty="RSA", size=2048)


def make_access_token(request, refresh_token=False):
    """Makes an access token as RFC 9068 describes it. By default tokens are opaque."""
    now = int(time.time())
    token = jwt.JWT(
        header={"alg": "RS256", "typ": "at+jwt", "kid": KEY.thumbprint()},
        claims={
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(request.user.id),
            "client_id": request.client.client_id,
            "scope": " ".join(request.scopes),
            "iat": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
        },
    )
    token.make_signed_token(KEY)
    return token.serialize()


settings.configure(
    SECRET_KEY=str(uuid.uuid4()),
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    STATIC_URL="/static/",
    LOGIN_URL="/admin/login/",
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": ISSUER,
        "OIDC_RSA_PRIVATE_KEY": KEY.export_to_pem(private_key=True, password=None).decode(),
        "OAUTH2_VALIDATOR_CLASS": f"{__name__}.NamesInClaims",
        "ACCESS_TOKEN_GENERATOR": make_access_token,
        "ACCESS_TOKEN_EXPIRE_SECONDS": 300,
        "SCOPES": {scope: scope for scope in SCOPES},
    },
)
django.setup()

# These need the settings.
from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402
from oauth2_provider.views import ConnectDiscoveryInfoView  # noqa: E402


class NamesInClaims(OAuth2Validator):
    """By default the only claim about a user is `sub`, a number."""

    def get_additional_claims(self, request):
        return {"name": request.user.get_full_name(), "email": request.user.email}


urlpatterns = [
    path("admin/", admin.site.urls),
    # The address in OpenID Connect Discovery §4 has no slash at its end. That of the toolkit has one.
    path("o/.well-known/openid-configuration", ConnectDiscoveryInfoView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

call_command("migrate", verbosity=0)
alice = User.objects.create_superuser(
    "alice", "alice@example.com", "alice-password", first_name="Alice", last_name="Example"
)
Application.objects.create(
    name="contacts",
    client_id="contacts-web",
    client_secret="secret-of-the-web-app",
    client_type=Application.CLIENT_CONFIDENTIAL,
    authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    algorithm=Application.RS256_ALGORITHM,
    redirect_uris=f"{WEB}/callback",
    user=alice,
)
call_command("runserver", PORT, use_reloader=False)
