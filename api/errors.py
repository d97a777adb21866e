"""The handlers that turn whatever is raised into a problem document."""

import math
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from api.problems import STATUS, ProblemResponse, problem
from services.artifacts.interface import StoreUnreachableError
from services.db.unit_of_work import is_unreadable
from services.errors import FieldProblem, FirstlightError, StoredUnreadableError
from services.field_problems import field_problems

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def install(app: FastAPI) -> None:
    """Register every handler on the application."""
    app.add_exception_handler(FirstlightError, _own)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for away in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(away, _database_away)
    app.add_exception_handler(StoreUnreachableError, _store_away)


def request_id(request: Request) -> str:
    """The id that the outermost layer gave this request."""
    return request.scope.get("state", {}).get("request_id", "")


def own_problem(error: FirstlightError, request_id: str) -> ProblemResponse:
    """The answer to an error raised on purpose."""
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS) if _has_status(error) else 500
    document = problem(status, error.detail, request_id, code=error.code, title=error.title, fields=error.problems)
    retry = error.retry_after if error.retry_after is not None else (RETRY_SECONDS if status in (429, 503) else None)
    return ProblemResponse(document, {"Retry-After": str(math.ceil(retry))} if retry is not None else None)


def _has_status(error: FirstlightError) -> bool:
    return any(cls in STATUS for cls in type(error).__mro__)


def _own(request: Request, error: Exception) -> Response:
    assert isinstance(error, FirstlightError)
    if isinstance(error, StoredUnreadableError):
        log.error("stored_row_unreadable", error=error.detail[:500])
    return own_problem(error, request_id(request))


def _validation(request: Request, error: Exception) -> Response:
    """A body or a parameter that does not validate; a spec's problems carry pointers into the posted body."""
    assert isinstance(error, RequestValidationError)
    errors = list(error.errors())
    if any(item["type"] == "json_invalid" for item in errors):
        why = errors[0]["ctx"]["error"]
        return ProblemResponse(
            problem(400, f"the body is not valid JSON: {why}", request_id(request), code="invalid_json")
        )
    model = _body_model(request)
    inside = [{**item, "loc": tuple(item["loc"][1:])} for item in errors if item["loc"] and item["loc"][0] == "body"]
    outside = [item for item in errors if not (item["loc"] and item["loc"][0] == "body")]
    fields = [
        *(
            FieldProblem(str(item["loc"][1] if len(item["loc"]) > 1 else item["loc"][-1]), _sentence(item))
            for item in outside
        ),
        *field_problems(inside, error.body, model),  # type: ignore[arg-type]
    ]
    detail = "; ".join(f"{field.pointer or 'the body'}: {field.message}" for field in fields[:3])
    return ProblemResponse(problem(422, detail, request_id(request), fields=fields))


def _sentence(item: Mapping[str, Any]) -> str:
    text = str(item["msg"]).replace("Input should", "should")
    if item["type"] == "missing":
        return "is missing"
    return f"{text}, not {str(item.get('input'))[:80]!r}"


def _body_model(request: Request) -> type[BaseModel]:
    body_field = getattr(request.scope.get("route"), "body_field", None)
    annotation = getattr(getattr(body_field, "field_info", None), "annotation", None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else BaseModel


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path[:200]}"
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_of(request))
        detail = f"{request.method[:20]} is not allowed at {request.url.path[:200]}; allowed: {headers['Allow']}"
    return ProblemResponse(problem(error.status_code, detail, request_id(request)), headers)


def _methods_of(request: Request) -> list[str]:
    """Every method of this path: the framework names those of the first route that fits, and HEAD goes with GET."""
    routes = request.app.router.routes
    methods = [
        method for method in METHODS if any(_fits(route, {**request.scope, "method": method}) for route in routes)
    ]
    return ["GET", "HEAD", *methods[1:]] if methods[:1] == ["GET"] else methods


def _fits(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL


def _database_away(request: Request, error: Exception) -> Response:
    if is_unreadable(error):
        log.error("stored_row_unreadable", error=str(error)[:500])
        return own_problem(StoredUnreadableError("a stored row holds what is no text"), request_id(request))
    return database_away(error, request_id(request))


def _store_away(request: Request, error: Exception) -> Response:
    """A store of uploads that does not answer; where it is stays in the log."""
    log.warning("store_unavailable", detail=str(error)[:500])
    document = problem(503, "the store of uploaded tables does not answer; try again", request_id(request))
    return ProblemResponse(document, {"Retry-After": str(RETRY_SECONDS)})


def database_away(error: Exception, request_id: str) -> ProblemResponse:
    """A database that is gone or too busy: say when to come back, and keep its words in the log."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    log.warning("database_unavailable", error=type(cause).__name__, detail=str(cause)[:500])
    document = problem(503, "the database does not answer; try again", request_id)
    return ProblemResponse(document, {"Retry-After": str(RETRY_SECONDS)})
