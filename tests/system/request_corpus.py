"""A good request for every path and method of the emulator: what the tests of bad input start from."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from halocline.emulator.server import ConnectedApp
from halocline.emulator.standing import API_USERNAME
from tests.system.request_world import ASYNC, CSV, Request, V, World

OAUTH = "/services/oauth2"
ADMIN = "/__emulator__"
JSON, FORM, XML = "application/json", "application/x-www-form-urlencoded", "application/xml"
BACK = "http://localhost:1717/OauthRedirect"
APP = ConnectedApp("web", "web-secret", callbacks=(BACK,))
REFRESH = "5Aep-a-refresh-token"
ASYNC_SPACE = "http://www.force.com/2009/06/asyncapi/dataload"
PARTNER = "urn:partner.soap.sforce.com"
SHORT_RECORDS = '<?xml version="1.0" encoding="UTF-8"?><sObjects xmlns="%s"><sObject><Name>A</Name></sObject></sObjects>'
_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
PUBLIC_KEY = _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


Make = Callable[[World], Request]


def corpus() -> dict[str, Make]:
    """The good requests by name; each makes what it needs in the world it is given."""
    return {**_oauth(), **_soap(), **_classic(), **_reads(), **_writes(), **_composites(), **_bulk(), **_admin()}


def _rest(method: str, path: str, body: object = None, *, kind: str = JSON, **query: str) -> Make:
    def make(world: World) -> Request:
        return request_of(world, method, path, body, kind=kind, query=query)

    return make


def request_of(
    world: World, method: str, path: str, body: object = None, *, kind: str = JSON, query: Mapping[str, str] | None = None
) -> Request:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    target = path + (f"?{urlencode(query)}" if query else "")
    token = world.token
    session = {"X-SFDC-Session": token} if path.startswith(ASYNC) else {"Authorization": f"Bearer {token}"}
    return Request(method, target, session | ({"Content-Type": kind} if content else {}), content)


def _form(path: str, **values: str) -> Make:
    return lambda world: Request("POST", path, {"Content-Type": FORM}, urlencode(values).encode())


def _oauth() -> dict[str, Make]:
    ours = {"client_id": "halocline-consumer-key", "client_secret": "halocline-consumer-secret"}
    basic = {"Authorization": "Basic " + base64.b64encode(":".join(ours.values()).encode()).decode(), "Content-Type": FORM}
    login = {"grant_type": "password", "username": API_USERNAME, "password": "halocline", **ours}
    asked = {"response_type": "code", "client_id": "web", "redirect_uri": BACK, "state": "a&b"}
    return {
        "versions": lambda world: Request("GET", "/services/data"),
        "token by credentials": _form(f"{OAUTH}/token", grant_type="client_credentials", **ours),
        "token by Basic": lambda world: Request("POST", f"{OAUTH}/token", basic, b"grant_type=client_credentials"),
        "token by password": _form(f"{OAUTH}/token", **login),
        "token by refresh": _form(f"{OAUTH}/token", grant_type="refresh_token", refresh_token=REFRESH, **ours),
        "token by JWT": _assertion,
        "authorize": lambda world: Request("GET", f"{OAUTH}/authorize?{urlencode(asked)}"),
        "authorize by form": _form(f"{OAUTH}/authorize", **asked),
        "revoke": lambda world: Request(
            "POST", f"{OAUTH}/revoke", {"Content-Type": FORM}, urlencode({"token": world.token}).encode()
        ),
        "revoke by GET": lambda world: Request("GET", f"{OAUTH}/revoke?{urlencode({'token': world.token})}"),
        "introspect": lambda world: Request(
            "POST", f"{OAUTH}/introspect", {"Content-Type": FORM}, urlencode({"token": world.token, **ours}).encode()
        ),
        "userinfo": _rest("GET", f"{OAUTH}/userinfo"),
        "userinfo by POST": _rest("POST", f"{OAUTH}/userinfo"),
        "identity": lambda world: _identity(world, "GET"),
        "identity by POST": lambda world: _identity(world, "POST"),
    }


def _assertion(world: World) -> Request:
    claims = {
        "iss": "halocline-consumer-key",
        "sub": API_USERNAME,
        "aud": "https://login.salesforce.com",
        "exp": int(world.emulator.clock.now().timestamp()) + 120,
    }
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    form = {"grant_type": grant, "assertion": jwt.encode(claims, _KEY, algorithm="RS256")}
    return Request("POST", f"{OAUTH}/token", {"Content-Type": FORM}, urlencode(form).encode())


def _identity(world: World, method: str) -> Request:
    org = world.emulator.org
    return request_of(world, method, f"/id/{org.org_id}/{org.api_user_id}")


def _soap() -> dict[str, Make]:
    record = "<sObjects><type>Account</type><Name>S</Name></sObjects>"
    return {
        "soap login": lambda world: _envelope(
            "login", f"<username>{API_USERNAME}</username><password>halocline</password>", session=""
        ),
        "soap query": _operation("query", "<queryString>SELECT Id, Name FROM Account LIMIT 3</queryString>"),
        "soap queryAll": _operation("queryAll", "<queryString>SELECT Id FROM Account LIMIT 3</queryString>"),
        "soap queryMore": lambda world: _envelope(
            "queryMore", f"<queryLocator>{world.locator()}</queryLocator>", session=world.token
        ),
        "soap create": _operation("create", record),
        "soap update": lambda world: _envelope(
            "update",
            f"<sObjects><type>Account</type><Id>{world.account()}</Id><fieldsToNull>Phone</fieldsToNull></sObjects>",
            session=world.token,
        ),
        "soap upsert": _operation(
            "upsert",
            "<externalIDFieldName>Number__c</externalIDFieldName>"
            "<sObjects><type>Invoice__c</type><Number__c>S1</Number__c></sObjects>",
        ),
        "soap delete": lambda world: _envelope("delete", f"<ids>{world.account()}</ids>", session=world.token),
        "soap undelete": lambda world: _envelope("undelete", f"<ids>{world.deleted_account()}</ids>", session=world.token),
        "soap emptyRecycleBin": lambda world: _envelope(
            "emptyRecycleBin", f"<ids>{world.deleted_account()}</ids>", session=world.token
        ),
        "soap getUserInfo": _operation("getUserInfo", ""),
        "soap getServerTimestamp": _operation("getServerTimestamp", ""),
        "soap logout": _operation("logout", ""),
    }


def _operation(name: str, content: str) -> Make:
    return lambda world: _envelope(name, content, session=world.token)


def _envelope(operation: str, content: str, *, session: str) -> Request:
    space = "http://schemas.xmlsoap.org/soap/envelope/"
    head = f"<SessionHeader><sessionId>{escape(session)}</sessionId></SessionHeader>" if session else ""
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><e:Envelope xmlns:e="{space}"><e:Header xmlns="{PARTNER}">{head}</e:Header>'
        f'<e:Body><{operation} xmlns="{PARTNER}">{content}</{operation}></e:Body></e:Envelope>'
    )
    return Request("POST", "/services/Soap/u/58.0", {"Content-Type": "text/xml", "SOAPAction": '""'}, text.encode())


def _classic() -> dict[str, Make]:
    job = f'<?xml version="1.0" encoding="UTF-8"?><jobInfo xmlns="{ASYNC_SPACE}">%s</jobInfo>'
    new = "<operation>insert</operation><object>Account</object><contentType>CSV</contentType>"
    settings = {"operation": "upsert", "object": "Invoice__c", "externalIdFieldName": "Number__c", "contentType": "JSON"}
    records = SHORT_RECORDS % ASYNC_SPACE

    def at(
        path: str,
        method: str = "GET",
        body: object = None,
        *,
        kind: str = JSON,
        of: str = "job",
        format_: str = "CSV",
        operation: str = "insert",
    ) -> Make:
        def make(world: World) -> Request:
            ids = {"job": lambda: (world.classic(format_, operation),), "batch": world.batch, "result": world.classic_result}[
                of
            ]()
            return request_of(world, method, ASYNC + path.format(*ids), body, kind=kind)

        return make

    return {
        "classic create": _rest("POST", f"{ASYNC}/job", (job % new).encode(), kind=XML),
        "classic create by JSON": _rest("POST", f"{ASYNC}/job", settings),
        "classic job": at("/job/{}"),
        "classic close": at("/job/{}", "POST", (job % "<state>Closed</state>").encode(), kind=XML),
        "classic abort": at("/job/{}", "POST", {"state": "Aborted"}),
        "classic batches": at("/job/{}/batch"),
        "classic add CSV": at("/job/{}/batch", "POST", b'Name,Phone\nA,"1\n2"\nB,\n', kind=CSV),
        "classic add XML": at("/job/{}/batch", "POST", records.encode(), kind=XML, format_="XML"),
        "classic add JSON": at("/job/{}/batch", "POST", [{"Name": "A", "Parent": None}], format_="JSON"),
        "classic add to upsert": lambda world: _keyed(
            world, "upsert", f"Number__c,Count__c,Account__r.Name\n{world.invoice()[1]},2,x\n"
        ),
        "classic add to delete": lambda world: request_of(
            world, "POST", f"{ASYNC}/job/{world.classic(operation='delete')}/batch", f"Id\n{world.account()}\n".encode(), kind=CSV
        ),
        "classic query": at("/job/{}/batch", "POST", b"SELECT Id FROM Account LIMIT 2", kind=CSV, operation="query"),
        "classic batch": at("/job/{}/batch/{}", of="batch"),
        "classic request": at("/job/{}/batch/{}/request", of="batch"),
        "classic result": at("/job/{}/batch/{}/result", of="batch"),
        "classic query result": at("/job/{}/batch/{}/result/{}", of="result"),
        "classic nothing": _rest("GET", f"{ASYNC}/nothing"),
        "classic nothing by POST": _rest("POST", f"{ASYNC}/nothing"),
    }


def _keyed(world: World, operation: str, text: str) -> Request:
    job = world.classic(operation=operation, object="Invoice__c", externalIdFieldName="Number__c")
    return request_of(world, "POST", f"{ASYNC}/job/{job}/batch", text.encode(), kind=CSV)


def _reads() -> dict[str, Make]:
    options = {"q": "SELECT Id, Name, (SELECT Id FROM Contacts) FROM Account WHERE Name LIKE 'A%' ORDER BY Name LIMIT 5"}
    body = {
        "q": "acme",
        "in": "ALL",
        "fields": ["Name"],
        "sobjects": [{"name": "Account", "where": "Name != 'Zeta'", "orderBy": "Name", "limit": 5}, {"name": "Contact"}],
        "overallLimit": 100,
    }
    paths = {
        "resources": "",
        "limits": "/limits",
        "describe global": "/sobjects",
        "basic information": "/sobjects/Account",
        "describe": "/sobjects/Account/describe",
        "list views": "/sobjects/Account/listviews",
        "recent": "/recent",
        "tabs": "/tabs",
        "theme": "/theme",
        "tooling": "/tooling",
        "tooling objects": "/tooling/sobjects",
        "tooling object": "/tooling/sobjects/ApexClass",
        "tooling describe": "/tooling/sobjects/ApexClass/describe",
        "ingest list": "/jobs/ingest",
        "query list": "/jobs/query",
        "composite resources": "/composite",
    }
    return {
        **{name: _rest("GET", V + path) for name, path in paths.items()},
        "query": _rest("GET", f"{V}/query", **options),
        "query of groups": _rest(
            "GET", f"{V}/query", q="SELECT Industry, COUNT(Id) n FROM Account GROUP BY Industry HAVING COUNT(Id) > 0"
        ),
        "query explained": _rest("GET", f"{V}/query", explain="SELECT Id FROM Account WHERE Name = 'A'"),
        "queryAll": _rest("GET", f"{V}/queryAll", **options),
        "query more": lambda world: request_of(world, "GET", f"{V}/query/{world.locator()}"),
        "record count": _rest("GET", f"{V}/limits/recordCount", sObjects="Account,Contact"),
        "deleted": lambda world: request_of(world, "GET", f"{V}/sobjects/Account/deleted", query=_window(world)),
        "updated": lambda world: request_of(world, "GET", f"{V}/sobjects/Account/updated", query=_window(world)),
        "read": lambda world: request_of(world, "GET", f"{V}/sobjects/Account/{world.account()}", query={"fields": "Id,Name"}),
        "read by key": lambda world: request_of(world, "GET", f"{V}/sobjects/Invoice__c/Number__c/{world.invoice()[1]}"),
        "read a child": lambda world: request_of(world, "GET", f"{V}/sobjects/Account/{world.account()}/Contacts"),
        "read a parent's parent": lambda world: request_of(world, "GET", f"{V}/sobjects/Contact/{world.contact()}/Account/Owner"),
        "search": _rest("GET", f"{V}/search", q="FIND {acme OR fie*} IN ALL FIELDS RETURNING Account(Id, Name), Contact LIMIT 3"),
        "search by parameters": _rest("GET", f"{V}/parameterizedSearch", q="acme", sobject="Account", fields="Id,Name"),
        "search by body": _rest("POST", f"{V}/parameterizedSearch", body),
        "tooling query": _rest("GET", f"{V}/tooling/query", q="SELECT Id FROM ApexClass"),
        "tooling more": lambda world: request_of(world, "GET", f"{V}/tooling/query/{world.tooling_locator}"),
        "collection": lambda world: request_of(
            world, "GET", f"{V}/composite/sobjects/Account", query={"ids": world.account(), "fields": "Id,Name"}
        ),
        "collection by body": lambda world: request_of(
            world, "POST", f"{V}/composite/sobjects/Account", {"ids": [world.account()], "fields": ["Id", "Name"]}
        ),
        **{f"nothing by {method}": _rest(method, f"{V}/nothing") for method in ("GET", "POST", "PUT", "PATCH", "DELETE")},
    }


def _window(world: World) -> dict[str, str]:
    now = world.emulator.clock.now()
    return {"start": now.replace(hour=0, minute=0).isoformat(), "end": now.replace(hour=23, minute=59).isoformat()}


def _writes() -> dict[str, Make]:
    invoice = {"Number__c": "W1", "Count__c": 3, "Amount__c": 1.5, "Due__c": "2026-01-31", "Sent__c": "2026-01-31T10:00:00Z"}
    more = {"At__c": "10:00:00.000Z", "Paid__c": True, "Tags__c": "Red;Blue", "Status__c": "Draft", "Mail__c": "a@b.example"}
    path = f"{V}/sobjects"
    return {
        "create": lambda world: request_of(
            world,
            "POST",
            f"{path}/Invoice__c",
            {**invoice, **more, "Number__c": world.invoice()[1] + "x", "Account__c": world.account()},
        ),
        "create by Id": _rest("POST", f"{path}/Account/Id", {"Name": "by Id"}),
        "change": lambda world: request_of(world, "PATCH", f"{path}/Invoice__c/{world.invoice()[0]}", {"Count__c": 4, **more}),
        "delete": lambda world: request_of(world, "DELETE", f"{path}/Account/{world.account()}"),
        "upsert": lambda world: request_of(world, "PATCH", f"{path}/Invoice__c/Number__c/{world.invoice()[1]}", {"Count__c": 4}),
        "delete by key": lambda world: request_of(world, "DELETE", f"{path}/Invoice__c/Number__c/{world.invoice()[1]}"),
        "change a parent's parent": lambda world: request_of(
            world, "PATCH", f"{path}/Contact/{world.contact()}/Account", {"Phone": "1"}
        ),
        "change over two": lambda world: request_of(
            world, "PATCH", f"{path}/Contact/{world.contact()}/Account/Owner", {"Department": "D"}
        ),
        "delete over two": lambda world: request_of(world, "DELETE", f"{path}/Contact/{world.contact()}/Account"),
        "delete over three": lambda world: request_of(
            world, "DELETE", f"{path}/Contact/{world.contact(parent=world.account())}/Account/Parent"
        ),
    }


def _composites() -> dict[str, Make]:
    attributes = {"attributes": {"type": "Account"}}
    new = {"method": "POST", "url": f"{V}/sobjects/Account", "referenceId": "new", "body": {"Name": "C"}}
    then = {"method": "GET", "url": f"{V}/sobjects/Account/@{{new.id}}?fields=Id", "referenceId": "then"}
    node = {"attributes": {"type": "Account", "referenceId": "r1"}, "Name": "T"}
    child = {"attributes": {"type": "Contact", "referenceId": "c1"}, "LastName": "T"}
    tree = {"records": [{**node, "Contacts": {"records": [child]}}]}
    batch = [
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "B"}},
        {"method": "GET", "url": "v66.0/limits"},
    ]
    keyed = {"records": [{"attributes": {"type": "Invoice__c"}, "Number__c": "U1", "Count__c": 1}], "allOrNone": False}
    path = f"{V}/composite"
    return {
        "composite": _rest("POST", path, {"allOrNone": True, "compositeRequest": [new, then]}),
        "composite batch": _rest("POST", f"{path}/batch", {"haltOnError": True, "batchRequests": batch}),
        "composite graph": _rest("POST", f"{path}/graph", {"graphs": [{"graphId": "g", "compositeRequest": [new, then]}]}),
        "composite tree": _rest("POST", f"{path}/tree/Account", tree),
        "collection create": _rest("POST", f"{path}/sobjects", {"allOrNone": True, "records": [{**attributes, "Name": "L"}]}),
        "collection update": lambda world: request_of(
            world, "PATCH", f"{path}/sobjects", {"records": [{**attributes, "id": world.account(), "Phone": "1"}]}
        ),
        "collection delete": lambda world: request_of(
            world, "DELETE", f"{path}/sobjects", query={"ids": f"{world.account()},{world.account()}", "allOrNone": "true"}
        ),
        "collection upsert": _rest("PATCH", f"{path}/sobjects/Invoice__c/Number__c", keyed),
    }


def _bulk() -> dict[str, Make]:
    ingest, query = f"{V}/jobs/ingest", f"{V}/jobs/query"
    settings = {"operation": "upsert", "object": "Invoice__c", "externalIdFieldName": "Number__c", "lineEnding": "LF"}
    asked = {"operation": "query", "query": "SELECT Id, Name FROM Account LIMIT 5", "columnDelimiter": "PIPE"}
    parts = (
        '--B\r\nContent-Disposition: form-data; name="job"\r\nContent-Type: application/json\r\n\r\n'
        '{"operation": "insert", "object": "Account"}\r\n'
        '--B\r\nContent-Disposition: form-data; name="content"; filename=c\r\nContent-Type:text/csv\r\n\r\nName\nM\n\r\n--B--\r\n'
    )

    def done(path: str = "", method: str = "GET", **query: str) -> Make:
        return lambda world: request_of(world, method, f"{ingest}/{world.ingest()}{path}", query=query)

    return {
        "ingest create": _rest("POST", ingest, settings),
        "ingest create by form": _rest("POST", ingest, parts.encode(), kind="multipart/form-data; boundary=B"),
        "ingest upload": lambda world: request_of(
            world,
            "PUT",
            f"{ingest}/{world.ingest(until='Open')}/batches",
            b'Name,Phone\n"A ""quoted"" one","1\n2"\nB,#N/A\n',
            kind=CSV,
        ),
        "ingest upload to upsert": lambda world: _upload(
            world,
            f"Number__c,Count__c,Sent__c,Paid__c,Tags__c,Account__c\n{world.invoice()[1]},1,2026-01-01T00:00:00Z,true,Red;Blue,"
            f"{world.account()}\nNEW,,#N/A,,,\n",
            operation="upsert",
            object="Invoice__c",
            externalIdFieldName="Number__c",
        ),
        "ingest upload to update": lambda world: _upload(
            world, f"Id,Name,Parent.Id\n{world.account()},Renamed,{world.account()}\n", operation="update"
        ),
        "ingest upload to delete": lambda world: _upload(
            world, f"Id\n{world.account()}\n{world.account()}\n", operation="delete"
        ),
        "ingest job": done(),
        "ingest close": lambda world: request_of(
            world, "PATCH", f"{ingest}/{world.ingest(until='Open')}", {"state": "UploadComplete"}
        ),
        "ingest delete": done(method="DELETE"),
        "ingest successful": done("/successfulResults"),
        "ingest failed": done("/failedResults"),
        "ingest unprocessed": done("/unprocessedrecords"),
        "query create": _rest("POST", query, asked),
        "query job": lambda world: request_of(world, "GET", f"{query}/{world.query_job()}"),
        "query abort": lambda world: request_of(world, "PATCH", f"{query}/{world.held_query_job()}", {"state": "Aborted"}),
        "query delete": lambda world: request_of(world, "DELETE", f"{query}/{world.query_job()}"),
        "query results": lambda world: request_of(
            world, "GET", f"{query}/{world.query_job()}/results", query={"maxRecords": "7"}
        ),
        "query pages": lambda world: request_of(world, "GET", f"{query}/{world.query_job()}/resultPages"),
    }


def _upload(world: World, text: str, **settings: str) -> Request:
    job = world.ingest(until="Open", **settings)
    return request_of(world, "PUT", f"{V}/jobs/ingest/{job}/batches", text.encode(), kind=CSV)


def _admin() -> dict[str, Make]:
    fixed: dict[str, tuple[str, str, object]] = {
        "calls": ("GET", "/calls?kind=tooling", None),
        "clear calls": ("DELETE", "/calls", None),
        "clock": ("GET", "/clock", None),
        "move clock": ("POST", "/clock", {"freeze": "2026-11-21T00:00:00Z", "advance_s": 60}),
        "seed": ("POST", "/seed", {"counts": {"Account": 3}, "number": 1, "years": 1.0}),
        "begin": ("POST", "/transactions", None),
        "end sessions": ("DELETE", "/sessions", None),
        "doors": ("GET", "/doors", None),
        "apps": ("GET", "/apps", None),
        "put app": ("POST", "/apps", {"consumer_key": "another", "consumer_secret": "its secret", "certificates": []}),
        "faults": ("GET", "/faults", None),
        "add fault": ("POST", "/faults", {"action": "delay", "path": "/never", "seconds": 0.0}),
        "add fault by text": ("POST", "/faults", {"rule": "answer: path=/never status=418 body='[]' nth=3"}),
        "clear faults": ("DELETE", "/faults", None),
        "permissions": ("GET", "/permissions", None),
        "hide": ("POST", "/permissions", {"hide": ["Lead", "Account.Rating"]}),
        "show": ("DELETE", "/permissions", None),
        "empty recycle bin": ("DELETE", "/recyclebin", None),
        "locks": ("GET", "/locks", None),
        "release locks": ("DELETE", "/locks", None),
        "jobs": ("GET", "/jobs", None),
        "forget jobs": ("DELETE", "/jobs", None),
        "hold jobs": ("POST", "/jobs/hold", None),
        "release jobs": ("POST", "/jobs/release", None),
        "doom job": (
            "POST",
            "/jobs/doom",
            {"state": "Failed", "message": "told to", "job": "750000000000000AAA", "after_batches": 1},
        ),
        "doom batch": ("POST", "/batches/doom", {"state": "Failed", "message": "told to"}),
        "show limits": ("GET", "/limits", None),
        "set limits": ("POST", "/limits", {"DailyApiRequests": 10_000_000}),
        "reset limits": ("DELETE", "/limits", None),
    }
    made: dict[str, Make] = {
        "commit": lambda world: request_of(world, "POST", f"{ADMIN}/transactions/{world.emulator.store.begin()}/commit"),
        "rollback": lambda world: request_of(world, "POST", f"{ADMIN}/transactions/{world.emulator.store.begin()}/rollback"),
        "undelete": lambda world: request_of(world, "POST", f"{ADMIN}/records/Account/{world.deleted_account()}/undelete"),
        "purge": lambda world: request_of(world, "POST", f"{ADMIN}/records/Account/{world.account()}/purge"),
        "lock": lambda world: request_of(world, "POST", f"{ADMIN}/locks", {"id": world.account(), "seconds": 5}),
        "unlock": _unlock,
        "release fault": lambda world: request_of(
            world, "POST", f"{ADMIN}/faults/{world.emulator.faults.add('delay', path='/never')}/release"
        ),
        "remove fault": lambda world: request_of(
            world, "DELETE", f"{ADMIN}/faults/{world.emulator.faults.add('delay', path='/never')}"
        ),
    }
    steady = {name: _rest(method, ADMIN + path, body) for name, (method, path, body) in fixed.items()}
    return {f"admin {name}": make for name, make in (steady | made).items()}


def _unlock(world: World) -> Request:
    account = world.account()
    world.emulator.locks.lock(account)
    return request_of(world, "DELETE", f"{ADMIN}/locks/{quote(account)}")
