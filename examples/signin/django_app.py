"""An application with Django. Arguments: the port and a folder for its database."""

import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.http import HttpResponse, JsonResponse
from django.urls import path

port, folder = sys.argv[1], sys.argv[2]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder + "/db"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="a secret for this example",
)
django.setup()


def sign_in(request):
    from django.contrib.auth import get_user_model, login

    user, _ = get_user_model().objects.get_or_create(username=request.GET["name"])
    login(request, user)
    return HttpResponse()


def me(request):
    return JsonResponse({"sub": request.user.pk})  # null if nobody is signed in


urlpatterns = [path("sign-in", sign_in), path("me", me)]
call_command("migrate", verbosity=0)
call_command("runserver", "127.0.0.1:" + port, use_reloader=False)
