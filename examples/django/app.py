"""Django with a JWT of your own (HS256): one middleware opens the trace, and views know nothing of it.

It runs as most Django apps do, under gunicorn with several processes that are forked from one in which the client was made and wrapped:
the SDK makes its queue, thread and socket anew in each. A project has the middleware in a file of its own and in its settings, behind
the one that authenticates; here all is one file.

    APP_SECRET=at-least-32-bytes-that-nobody-knows python examples/django/app.py
    curl localhost:8000/ask -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"text": "Hello"}'
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import django
import jwt
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST
from gunicorn.app.base import BaseApplication
from openai import OpenAI
from percapita import with_trace, wrap

SECRET = os.environ["APP_SECRET"]
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

client = wrap(OpenAI())


def whose(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: a request is a trace of the user in its token."""

    def middleware(request: HttpRequest) -> HttpResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
        except jwt.PyJWTError:
            return JsonResponse({"detail": "a valid token, please"}, status=401)
        tags = {"userId": claims["sub"], "plan": claims.get("plan", "free")}
        with with_trace(tags=tags, name=f"{request.method} {request.path}"):
            return get_response(request)

    return middleware


@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """One answer, whole."""
    messages = [{"role": "user", "content": json.loads(request.body)["text"]}]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    return JsonResponse({"answer": answer.choices[0].message.content})


urlpatterns = [path("ask", ask)]
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY=SECRET, ALLOWED_HOSTS=["*"], MIDDLEWARE=[f"{__name__}.whose"])
django.setup()
application = get_wsgi_application()


class Server(BaseApplication):
    """gunicorn, as `gunicorn --preload --workers 2 --threads 4 app:application` starts it."""

    def load_config(self) -> None:
        """What stands on the command line else."""
        port = os.environ.get("PORT", "8000")
        for name, value in {"bind": f"127.0.0.1:{port}", "workers": 2, "threads": 4, "preload_app": True}.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The app, made before the fork."""
        return application


if __name__ == "__main__":
    Server().run()
