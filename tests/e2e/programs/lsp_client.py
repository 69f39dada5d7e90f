"""Drives `sluice lsp` with the client of pygls: lsp_client.py SLUICE FOLDER CASE."""

import asyncio
import sys
import time
from pathlib import Path

from lsprotocol import types as t
from pygls.lsp.client import LanguageClient

POOLS = """## Serves the shop.
pool web = 10.0.0.1:80
pool api = 10.0.0.2:80

## Only the office.
policy office(networks: list<cidr>, status: int = 403) {
    require client.ip in networks else deny 403
}
"""

SHOP = """import ./pools
import std/web

pool own = 10.0.0.3:80
let inside = [10.0.0.0/8]

site {tenant}.shop.test {
    use web.secure-headers
    set request header x-tenant = tenant
    /u/{id:int}/* {
        use pools.office(networks: inside)
        ./orders -> own at /o/{id}
        else     -> pools.web
    }
    /a, /b/{x} -> pools.api
    else       -> own
}

test "it is the shop" {
    request GET https://a.shop.test/a
    expect pool pools.api
}

test "it fails" {
    request GET https://a.shop.test/
    expect pool pools.api
}
"""


class Client(LanguageClient):
    """Keeps what was published, and wakes who waits for it."""

    def __init__(self):
        super().__init__("test", "1")
        self.published = {}
        self.times = 0
        self.messages = []
        self.news = asyncio.Event()

        @self.feature(t.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params):
            self.published[params.uri] = list(params.diagnostics)
            self.times += 1
            self.news.set()

        @self.feature(t.WINDOW_SHOW_MESSAGE)
        def said(params):
            self.messages.append(params.message)

        @self.feature("workspace/codeLens/refresh")
        def refresh(_params):
            return None

    async def until(self, holds):
        """Waits until what was published is as it should be."""
        async def wait():
            while not holds(self.published):
                self.news.clear()
                await self.news.wait()
        await asyncio.wait_for(wait(), 60)


class Rig:
    def __init__(self, sluice, folder):
        self.sluice, self.folder = sluice, Path(folder)
        self.client = Client()
        self.versions = {}

    async def start(self, encodings=None):
        await self.client.start_io(self.sluice, "lsp", "--stdio")
        general = t.GeneralClientCapabilities(position_encodings=encodings) if encodings else None
        snippets = t.CompletionClientCapabilities(completion_item=t.ClientCompletionItemOptions(snippet_support=True))
        result = await self.client.initialize_async(t.InitializeParams(
            capabilities=t.ClientCapabilities(
                general=general, text_document=t.TextDocumentClientCapabilities(completion=snippets)),
            root_uri=self.folder.as_uri(), process_id=None))
        self.client.initialized(t.InitializedParams())
        return result

    async def stop(self):
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await asyncio.wait_for(self.client._server.wait(), 30)
        assert self.client._server.returncode == 0, self.client._server.returncode

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
        return path.as_uri()

    def uri(self, name):
        return (self.folder / name).as_uri()

    def open(self, name, text):
        uri = self.uri(name)
        self.versions[uri] = 1
        self.client.text_document_did_open(t.DidOpenTextDocumentParams(
            t.TextDocumentItem(uri=uri, language_id="sluice", version=1, text=text)))
        return uri

    def change(self, uri, changes):
        self.versions[uri] += 1
        self.client.text_document_did_change(t.DidChangeTextDocumentParams(
            text_document=t.VersionedTextDocumentIdentifier(uri=uri, version=self.versions[uri]),
            content_changes=changes))

    def whole(self, uri, text):
        self.change(uri, [t.TextDocumentContentChangeWholeDocument(text=text)])

    def doc(self, uri):
        return t.TextDocumentIdentifier(uri=uri)

    async def hover(self, uri, at):
        hover = await self.client.text_document_hover_async(t.HoverParams(text_document=self.doc(uri), position=at))
        return hover.contents.value if hover else None

    async def definition(self, uri, at):
        return await self.client.text_document_definition_async(
            t.DefinitionParams(text_document=self.doc(uri), position=at))

    async def references(self, uri, at):
        found = await self.client.text_document_references_async(t.ReferenceParams(
            text_document=self.doc(uri), position=at, context=t.ReferenceContext(include_declaration=True)))
        return sorted((Path(f.uri).name, f.range.start.line) for f in found or [])

    async def completion(self, uri, at):
        found = await self.client.text_document_completion_async(
            t.CompletionParams(text_document=self.doc(uri), position=at))
        items = found.items if hasattr(found, "items") else found
        return {item.label: item for item in items}


def where(text, piece, into=0, nth=0):
    """The position of a piece of a text, in UTF-16."""
    at = -1
    for _ in range(nth + 1):
        at = text.index(piece, at + 1)
    before = text[:at + into]
    column = before[before.rfind("\n") + 1:]
    return t.Position(line=before.count("\n"), character=len(column.encode("utf-16-le")) // 2)


def apply(text, edits):
    """A text with edits made."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    offset = lambda p: starts[p.line] + len(lines[p.line].encode("utf-16-le")[: 2 * p.character].decode("utf-16-le"))
    for edit in sorted(edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
        text = text[: offset(edit.range.start)] + edit.new_text + text[offset(edit.range.end):]
    return text


async def shop(rig):
    rig.write("sites/gateway.route", "gateway {\n    http :0\n}\n")
    rig.write("sites/pools.route", POOLS)
    rig.write("sites/shop.route", SHOP)
    await rig.start()
    return rig.open("sites/shop.route", SHOP)


async def names(rig):
    uri = await shop(rig)
    # Hover: documentation, types, values of captures, whole paths, patterns with an example.
    says = await rig.hover(uri, where(SHOP, "pools.web", 7))
    assert "Serves the shop." in says and "pool web = 10.0.0.1:80" in says, says
    says = await rig.hover(uri, where(SHOP, "pools.office", 8))
    assert "Only the office." in says and "policy office(networks: list<cidr>, status: int = 403)" in says, says
    says = await rig.hover(uri, where(SHOP, "networks: inside", 2))
    assert "parameter" in says and "list<cidr>" in says, says
    says = await rig.hover(uri, where(SHOP, "/o/{id}", 5))
    assert "capture id: int" in says and "{id:int}" in says, says
    says = await rig.hover(uri, where(SHOP, "inside)", 1))
    assert "let inside = [10.0.0.0/8]" in says and "list<cidr>" in says, says
    says = await rig.hover(uri, where(SHOP, "./orders", 3))
    assert "/u/{id:int}/orders" in says and "such as `/u/7/orders`" in says, says
    says = await rig.hover(uri, where(SHOP, "shop.test", 2))
    assert "{tenant}.shop.test" in says and ".shop.test`" in says, says
    says = await rig.hover(uri, where(SHOP, "web.secure-headers", 6))
    assert "policy secure-headers" in says and "Headers that every site" in says, says
    says = await rig.hover(uri, where(SHOP, "pools.web", 2))
    assert "module" in says and "pools.route" in says, says
    assert await rig.hover(uri, t.Position(line=2, character=0)) is None

    # Definitions, across files and into the standard library.
    found = await rig.definition(uri, where(SHOP, "pools.api", 7))
    assert found.uri == rig.uri("sites/pools.route") and found.range.start == where(POOLS, "api = "), found
    found = await rig.definition(uri, where(SHOP, "./pools", 3))
    assert found.uri == rig.uri("sites/pools.route"), found
    found = await rig.definition(uri, where(SHOP, "web.secure-headers", 6))
    assert found.uri.endswith("std/web.route") and "policy secure-headers" in Path(found.uri[7:]).read_text(), found
    found = await rig.definition(uri, where(SHOP, "= tenant", 3))
    assert found.range.start == where(SHOP, "{tenant}", 1), found
    found = await rig.definition(uri, where(SHOP, "own\n}", 1))
    assert found.range.start == where(SHOP, "own = "), found
    assert await rig.definition(uri, where(SHOP, "GET", 1)) is None

    # References, across files, from either end.
    expected = [("pools.route", 2), ("shop.route", 14), ("shop.route", 20), ("shop.route", 25)]
    assert await rig.references(uri, where(SHOP, "pools.api", 7)) == expected
    pools = rig.open("sites/pools.route", POOLS)
    assert await rig.references(pools, where(POOLS, "api = ")) == expected
    assert await rig.references(uri, where(SHOP, "{id:int}", 1)) == [("shop.route", 9), ("shop.route", 11)]
    highlights = await rig.client.text_document_document_highlight_async(
        t.DocumentHighlightParams(text_document=rig.doc(uri), position=where(SHOP, "own = ")))
    assert len(highlights) == 3, highlights

    # Outline and hints.
    symbols = await rig.client.text_document_document_symbol_async(t.DocumentSymbolParams(text_document=rig.doc(uri)))
    site = next(s for s in symbols if s.detail == "site")
    assert site.name == "{tenant}.shop.test" and [c.name for c in site.children] == ["/u/{id:int}/*", "/a, /b/{x}", "else"]
    assert [c.name for c in site.children[0].children] == ["./orders", "else"]
    everything = t.Range(t.Position(0, 0), t.Position(99, 0))
    hints = await rig.client.text_document_inlay_hint_async(
        t.InlayHintParams(text_document=rig.doc(uri), range=everything))
    assert [h.label for h in hints] == ["/u/{id:int}/orders"], hints
    await rig.stop()


async def renames(rig):
    uri = await shop(rig)
    texts = {rig.uri("sites/shop.route"): SHOP, rig.uri("sites/pools.route"): POOLS}

    async def rename(at, new):
        return await rig.client.text_document_rename_async(
            t.RenameParams(text_document=rig.doc(uri), position=at, new_name=new))

    async def refused(at, new, why):
        try:
            await rename(at, new)
        except Exception as error:
            assert why in str(error), error
            return
        raise AssertionError(f"{new} was not refused")

    prepared = await rig.client.text_document_prepare_rename_async(
        t.PrepareRenameParams(text_document=rig.doc(uri), position=where(SHOP, "pools.api", 7)))
    assert prepared.placeholder == "api", prepared
    edit = await rename(where(SHOP, "pools.api", 7), "backend")
    assert sorted(Path(u).name for u in edit.changes) == ["pools.route", "shop.route"], edit
    for changed, edits in edit.changes.items():
        assert apply(texts[changed], edits) == texts[changed].replace("pool api", "pool backend").replace(
            "pools.api", "pools.backend"), edits
    edit = await rename(where(SHOP, "{id:int}", 1), "user")
    assert apply(SHOP, edit.changes[uri]) == SHOP.replace("{id:int}", "{user:int}").replace("{id}", "{user}"), edit
    edit = await rename(where(SHOP, "networks: inside", 2), "nets")
    assert apply(POOLS, edit.changes[rig.uri("sites/pools.route")]) == POOLS.replace("networks", "nets"), edit
    await refused(where(SHOP, "own = "), "inside", "taken")
    await refused(where(SHOP, "{id:int}", 1), "tenant", "taken")
    await refused(where(SHOP, "own = "), "when", "cannot be a name")
    await refused(where(SHOP, "own = "), "a b", "cannot be a name")
    await refused(where(SHOP, "own = "), "client", "cannot be a name")
    await refused(where(SHOP, "web.secure-headers", 6), "mine", "standard library")
    await refused(where(SHOP, "GET", 1), "mine", "nothing here")
    nothing = await rig.client.text_document_prepare_rename_async(
        t.PrepareRenameParams(text_document=rig.doc(uri), position=where(SHOP, "web.secure-headers", 6)))
    assert nothing is None
    await rig.stop()


async def completes(rig):
    uri = await shop(rig)

    async def at(line, after="    /a, /b/{x} -> pools.api\n"):
        """Completions at the end of a line that is being typed."""
        text = SHOP.replace(after, f"{line}\n{after}", 1) if after else line
        rig.whole(uri, text)
        return await rig.completion(uri, where(text, line, len(line)))

    found = await at("    ")
    assert {"use", "require", "limit", "when", "timeout", "websocket"} <= set(found), sorted(found)
    assert "balance" not in found and "site" not in found
    found = await at("    /x -> ")
    assert {"own", "pools.web", "pools.api", "redirect", "respond", "deny", "files"} <= set(found), sorted(found)
    assert "use" not in found and "inside" not in found
    found = await at("    /x -> pools.")
    assert set(found) == {"web", "api"}, sorted(found)
    found = await at("    use ")
    assert {"pools.office", "web.secure-headers", "web.hsts"} <= set(found) and "own" not in found, sorted(found)
    office = found["pools.office"]
    assert office.detail == "(networks: list<cidr>, status: int)" and office.insert_text == "pools.office(${1:networks})"
    assert "Only the office." in office.documentation.value
    found = await at("    use pools.office(")
    assert {"networks:", "status:", "inside"} <= set(found), sorted(found)
    found = await at("        ./x when ", "        ./orders")
    assert {"id", "tenant", "inside", "client.ip", "header", "method"} <= set(found), sorted(found)
    assert found["id"].detail == "capture: int"
    found = await at("    /x/{y} -> redirect 302 /z/{")
    assert "tenant" in found and "client.ip" in found, sorted(found)
    assert "id" not in found, "it is a capture of another block"
    found = await at("    when client.")
    assert {"ip", "port"} <= set(found) and found["ip"].detail == "ip", sorted(found)
    found = await at("    when header.")
    assert {"user-agent", "authorization"} <= set(found), sorted(found)
    found = await at("    set request header ")
    assert "user-agent" in found and "own" not in found, sorted(found)
    found = await at("    when request.")
    assert {"method", "path", "uri", "query-string", "size", "version"} <= set(found), sorted(found)
    found = await at("    when tls.")
    assert {"sni", "version", "alpn"} <= set(found), sorted(found)
    found = await at("import ", "import std/web\n")
    assert {"std/auth", "std/web", "./pools"} <= set(found) and "./shop" not in found, sorted(found)
    found = await at("", "pool own")
    assert {"site", "pool", "policy", "import", "test"} <= set(found) and "when" not in found, sorted(found)
    found = await at("    expect pool ", "    expect pool pools.api\n}\n\ntest \"it fails\"")
    assert {"own", "pools.web"} <= set(found) and "redirect" not in found, sorted(found)
    found = await at("pool p {\n    bal", "pool own")
    assert "balance" in found and "use" not in found, sorted(found)
    assert await at("    # when ") == {}
    assert await at('    /x -> respond 200 "hello ') == {}
    await rig.stop()


async def findings(rig):
    uri = await shop(rig)
    pools = rig.uri("sites/pools.route")
    one = lambda p, u=None: p.get(u or uri, [None])
    errors = lambda p, u: [d.code for d in p.get(u, []) if d.severity == t.DiagnosticSeverity.Error]
    await rig.client.until(lambda p: any(d and d.code == "G9007" for d in one(p)))
    failing = next(d for d in rig.client.published[uri] if d.code == "G9007")
    assert failing.severity == t.DiagnosticSeverity.Error and failing.source == "sluice"

    # As one types: what is in the editor counts, not what is on disk.
    text = SHOP.replace("else       -> own", "else       -> onw").replace("expect pool pools.api\n}\n\ntest", "expect pool pools.api\n}\n\ntest", 1)
    rig.whole(uri, text)
    await rig.client.until(lambda p: any(d and d.code == "G1002" for d in one(p)))
    unknown = next(d for d in rig.client.published[uri] if d.code == "G1002")
    assert unknown.range.start == where(text, "onw"), unknown.range
    assert unknown.related_information[0].location.range.start == where(text, "own = "), unknown.related_information
    actions = await rig.client.text_document_code_action_async(t.CodeActionParams(
        text_document=rig.doc(uri), range=unknown.range, context=t.CodeActionContext(diagnostics=[unknown])))
    fix = next(a for a in actions if a.kind == "quickfix" and "own" in a.title)
    assert apply(text, fix.edit.changes[uri]) == text.replace("onw", "own"), fix

    # One broken line does not hide what is wrong elsewhere, nor what names mean.
    broken = text.replace("    use web.secure-headers\n", "    use web.secure-headers\n    /x => own\n")
    rig.whole(uri, broken)
    await rig.client.until(lambda p: any(d and d.code == "G0001" for d in one(p)))
    assert "Serves the shop." in await rig.hover(uri, where(broken, "pools.web", 7))
    assert len(await rig.references(uri, where(broken, "own = "))) >= 2
    assert "tenant" in await rig.completion(uri, where(broken, "= tenant", 2))

    # Several small edits in one message, in UTF-16.
    line = "    # caf\u00e9 \U0001f600 \u00fcber\n"
    rig.whole(uri, SHOP.replace("    use web", line + "    use web"))
    typed = SHOP.replace("    use web", line + "    use web")
    at = where(typed, "\u00fcber")
    rig.change(uri, [
        t.TextDocumentContentChangePartial(range=t.Range(at, t.Position(at.line, at.character + 4)), text="x"),
        t.TextDocumentContentChangePartial(range=t.Range(t.Position(3, 5), t.Position(3, 8)), text="self"),
    ])
    await rig.client.until(lambda p: any(d and d.code == "G1002" and "own" in d.message for d in one(p)))
    now = typed.replace("\u00fcber", "x").replace("pool own", "pool self")
    unknown = next(d for d in rig.client.published[uri] if d.code == "G1002" and "own" in d.message)
    assert unknown.range.start == where(now, "own at"), unknown.range

    # A change of another buffer is seen here, and undone when it is closed.
    rig.whole(uri, SHOP)
    rig.open("sites/pools.route", POOLS.replace("pool api", "pool apis"))
    await rig.client.until(lambda p: any(d and d.code in ("G1002", "G1004") for d in one(p)))
    rig.client.text_document_did_close(t.DidCloseTextDocumentParams(rig.doc(pools)))
    await rig.client.until(lambda p: errors(p, uri) == ["G9007"])

    # Two files that claim one host: said where the editor is.
    sound = SHOP[: SHOP.index('test "it fails"')]
    rig.whole(uri, sound)
    rig.write("sites/other.route", sound)
    rig.client.workspace_did_change_watched_files(t.DidChangeWatchedFilesParams(changes=[
        t.FileEvent(uri=rig.uri("sites/other.route"), type=t.FileChangeType.Created)]))
    await rig.client.until(lambda p: any(d.code == "G2007" for ds in p.values() for d in ds))

    # What is mended is cleared.
    (rig.folder / "sites/other.route").unlink()
    rig.whole(uri, sound)
    await rig.client.until(lambda p: errors(p, uri) == [] and p.get(rig.uri("sites/other.route"), []) == [])
    await rig.stop()


async def tests(rig):
    uri = await shop(rig)
    lenses = await rig.client.text_document_code_lens_async(t.CodeLensParams(text_document=rig.doc(uri)))
    titles = [lens.command.title for lens in lenses]
    assert titles[0] == "run · passes" and titles[1].startswith("run · FAILS: expected pool pools.api, got pool own"), titles
    assert titles[2] == "2 tests: 1 failed", titles
    assert lenses[1].range.start == where(SHOP, 'test "it fails"')
    run = lambda lens: rig.client.workspace_execute_command_async(
        t.ExecuteCommandParams(command=lens.command.command, arguments=lens.command.arguments))
    result = await run(lenses[1])
    assert len(result) == 1 and not result[0]["ok"], result
    rig.whole(uri, SHOP.replace("GET https://a.shop.test/\n", "GET https://a.shop.test/b/1\n"))
    result = await run(lenses[2])
    assert [one["ok"] for one in result] == [True, True], result
    assert rig.client.messages[-1] == "2 tests: all pass", rig.client.messages
    rig.whole(uri, SHOP.replace("-> own\n", "-> nowhere\n"))
    lenses = await rig.client.text_document_code_lens_async(t.CodeLensParams(text_document=rig.doc(uri)))
    assert lenses[0].command.title == "run · the file does not compile"
    await rig.stop()


async def formats(rig):
    ugly = "site a.test {\r\n  /\U0001f600->respond 200 # c\r\n}\npool p=10.0.0.1:80\nsite b.test{\n-> p}"
    rig.write("sites/a.route", "")
    await rig.start()
    uri = rig.open("sites/a.route", ugly)
    options = t.FormattingOptions(tab_size=8, insert_spaces=False)
    ask = lambda: rig.client.text_document_formatting_async(
        t.DocumentFormattingParams(text_document=rig.doc(uri), options=options))
    neat = "pool p = 10.0.0.1:80\nsite b.test {\n    -> p\n}\n"
    rig.whole(uri, "# \U0001f600\npool p=10.0.0.1:80\r\nsite b.test {\n-> p\n}")
    edits = await ask()
    got = apply("# \U0001f600\npool p=10.0.0.1:80\r\nsite b.test {\n-> p\n}", edits)
    assert got == "# \U0001f600\n" + neat, got
    rig.whole(uri, neat)
    edits = await ask()
    assert not edits, edits
    # An unsaved document that is no file.
    loose = "untitled:Untitled-1"
    rig.client.text_document_did_open(t.DidOpenTextDocumentParams(
        t.TextDocumentItem(uri=loose, language_id="sluice", version=1, text="site a.test {\n    -> nowhere\n}\n")))
    await rig.client.until(lambda p: any(d.code == "G1002" for d in p.get(loose, [])))
    await rig.stop()


async def utf8(rig):
    text = "# \u00e9\U0001f600\nsite a.test {\n    set response header x-\u00e9 = \"\u00e9\" # \u00e9\n    /x -> respond 200 \"\u00e9\u00e9\" tpe\n    -> own\n}\n"
    rig.write("sites/a.route", text)
    result = await rig.start([t.PositionEncodingKind.Utf8, t.PositionEncodingKind.Utf16])
    assert result.capabilities.position_encoding == "utf-8"
    text = "site a.test {\n    /x -> respond 200 \"\u00e9\U0001f600\" \n    when header.a is \"\u00e9\U0001f600\" -> own\n}\n"
    uri = rig.open("sites/a.route", text)
    await rig.client.until(lambda p: any(d.code == "G1002" for d in p.get(uri, [])))
    found = next(d for d in rig.client.published[uri] if d.code == "G1002")
    line = text.split("\n")[2]
    assert found.range.start.character == len(line[: line.index("own")].encode()), found.range
    await rig.stop()


async def malformed(rig):
    """Bytes by hand: what is no message is answered, and the next one is served."""
    server = await asyncio.create_subprocess_exec(
        rig.sluice, "lsp", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    import json

    def send(body):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(raw) + raw)

    async def receive():
        head = await asyncio.wait_for(server.stdout.readuntil(b"\r\n\r\n"), 30)
        length = int(head.split(b":")[1].split(b"\r\n")[0])
        return json.loads(await server.stdout.readexactly(length))

    send(b"{not json")
    assert (await receive())["error"]["code"] == -32700
    send(b"\xff\xfe")
    assert (await receive())["error"]["code"] == -32700
    send(b"[]")
    assert (await receive())["error"]["code"] == -32700
    send({"jsonrpc": "2.0", "id": 1, "method": "textDocument/hover", "params": {}})
    assert (await receive())["error"]["code"] == -32002
    send({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": {"capabilities": {}}})
    assert (await receive())["result"]["capabilities"]["positionEncoding"] == "utf-16"
    send({"jsonrpc": "2.0", "id": 3, "method": "no/such", "params": {}})
    assert (await receive())["error"]["code"] == -32601
    send({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"textDocument": {"uri": 7}}})
    send({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {
        "textDocument": {"uri": "file:///nowhere/a.route"}, "contentChanges": [{"range": {"start": {"line": -1}}, "text": "x"}]}})
    for method in ("hover", "definition", "references", "rename", "completion", "formatting", "documentSymbol",
                   "codeAction", "codeLens", "inlayHint", "prepareRename", "documentHighlight"):
        for params in ({}, {"textDocument": {"uri": "file:///nowhere.route"}, "position": {"line": 1e9, "character": -4}},
                       {"textDocument": 4, "position": []}, None):
            send({"jsonrpc": "2.0", "id": 4, "method": f"textDocument/{method}", "params": params})
            answer = await receive()
            while "id" not in answer:
                answer = await receive()
            assert "result" in answer or "error" in answer, answer
    send({"jsonrpc": "2.0", "id": "five", "method": "shutdown"})
    answer = await receive()
    while answer.get("id") != "five":
        answer = await receive()
    send({"jsonrpc": "2.0", "id": 6, "method": "textDocument/hover", "params": {}})
    assert (await receive())["error"]["code"] == -32600
    send({"jsonrpc": "2.0", "method": "exit"})
    assert await asyncio.wait_for(server.wait(), 30) == 0
    # Gone without a word, and no message at all.
    for sent, code in ((b"", 1), (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2)):
        server = await asyncio.create_subprocess_exec(
            rig.sluice, "lsp", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE)
        server.stdin.write(sent)
        server.stdin.close()
        assert await asyncio.wait_for(server.wait(), 30) == code, sent


async def big(rig):
    """Ten thousand lines: findings and answers come soon enough to type on."""
    lines = ["pool web = 10.0.0.1:80"]
    for n in range(1000):
        lines.append(f"site s{n}.example.test {{")
        lines += [f"    /p{k}/{{id}} -> web at /x/{{id}}" for k in range(7)]
        lines += ["    else -> web", "}"]
    text = "\n".join(lines) + "\n"
    rig.write("sites/big.route", text)
    await rig.start()
    began = time.monotonic()
    uri = rig.open("sites/big.route", text)
    await rig.client.until(lambda p: uri in p)
    opened = time.monotonic() - began
    began = time.monotonic()
    rig.change(uri, [t.TextDocumentContentChangePartial(
        range=t.Range(t.Position(5002, 0), t.Position(5002, 0)), text="    /typo -> wbe\n")])
    await rig.client.until(lambda p: any(d.code == "G1002" for d in p.get(uri, [])))
    typed = time.monotonic() - began
    began = time.monotonic()
    assert "pool web" in await rig.hover(uri, t.Position(0, 6))
    assert "web" in await rig.completion(uri, t.Position(3, 16))
    asked = time.monotonic() - began
    print(f"big: {len(lines)} lines, opened {opened:.2f} s, typed {typed:.2f} s, asked {asked:.2f} s")
    assert opened < 30 and typed < 30 and asked < 30
    await rig.stop()


async def many(rig):
    """A thousand files: an edit is answered by what its file says, then by what all say together."""
    pools = "pool web = 10.0.0.1:80\n"
    site = lambda n: f"import ./pools\n\nsite s{n}.example.test {{\n    /a/* -> pools.web\n    else -> respond 404\n}}\n"
    rig.write("sites/gateway.route", "gateway {\n    http :0\n}\n")
    rig.write("sites/pools.route", pools)
    for n in range(1000):
        rig.write(f"sites/s{n}.route", site(n))
    await rig.start()
    uri = rig.open("sites/s7.route", site(7))
    await rig.client.until(lambda p: uri in p)
    broken = lambda p: any(d.severity == t.DiagnosticSeverity.Error for d in p.get(uri, []))
    began = time.monotonic()
    rig.whole(uri, site(7).replace("pools.web", "pools.wbe"))
    await rig.client.until(broken)
    typed = time.monotonic() - began
    rig.whole(uri, site(7))
    await rig.client.until(lambda p: not broken(p))
    # What only all files together show, here of another file's host.
    began = time.monotonic()
    rig.whole(uri, site(7).replace("s7.example", "s8.example"))
    await rig.client.until(lambda p: any(d.code == "G2007" for d in p.get(uri, [])))
    together = time.monotonic() - began
    # And of a file that imports the one that changed.
    imported = rig.open("sites/pools.route", pools)
    rig.whole(imported, pools.replace("web", "front"))
    await rig.client.until(broken)
    rig.whole(imported, pools)
    rig.whole(uri, site(7))
    await rig.client.until(lambda p: not p.get(uri) and not p.get(imported))
    print(f"many: typed {typed:.2f} s, together {together:.2f} s")
    await rig.stop()


CASES = {f.__name__: f for f in (names, renames, completes, findings, tests, formats, utf8, malformed, big, many)}

if __name__ == "__main__":
    sluice, folder, case = sys.argv[1:]
    asyncio.run(asyncio.wait_for(CASES[case](Rig(sluice, folder)), 240))
    print(f"{case}: ok")
