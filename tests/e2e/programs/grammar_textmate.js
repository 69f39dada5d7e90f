// Colours route files with the TextMate grammar, as VS Code does: grammar_textmate.js MODULES GRAMMAR FILE…
const fs = require("fs");
const path = require("path");
const assert = require("assert");

const [modules, grammarPath, ...files] = process.argv.slice(2);
const oniguruma = require(path.join(modules, "vscode-oniguruma"));
const textmate = require(path.join(modules, "vscode-textmate"));

const SAMPLE = `## What it is.
import std/web
pool web = 10.0.0.1:80 weight 3
policy only(networks: list<cidr>, at: path = /x) {
    require client.ip in networks else deny 403
}
site {tenant}.example.com {
    # A comment.
    timeout 30s
    use web.only(networks: [10.0.0.0/8])
    set request header x-user = "a{client.ip}\\n"
    limit 100/s per client.ip
    /u/{id:int}/* when method is GET and header.x matches "^a{3}$" -> web at /v/{id}
    else -> redirect 308 https://example.com/x
}
`;

// Line (from 0), piece, scope.
const EXPECTED = [
  [0, "## What it is.", "comment.line.documentation"], [1, "import", "keyword.control.item"],
  [2, "web", "entity.name.type"], [2, "10.0.0.1:80", "constant.numeric.address"], [2, "weight", "keyword.other"],
  [3, "policy", "keyword.control.item"], [3, "only", "entity.name.type"], [3, "list<cidr>", "storage.type"],
  [3, "networks", "variable.parameter"], [3, "/x", "string.unquoted.path"],
  [4, "require", "keyword.control"], [4, "client", "variable.language"], [4, "ip", "variable.other.member"],
  [4, "in", "keyword.operator.word"], [4, "deny", "support.function.answer"], [4, "403", "constant.numeric"],
  [6, "tenant", "variable.parameter"], [7, "# A comment.", "comment.line.number-sign"],
  [8, "timeout", "support.type.property-name"], [8, "30s", "constant.numeric.duration"],
  [9, "web.only", "entity.name.function"], [10, "x-user", "entity.name.tag"], [10, "\\n", "constant.character.escape"],
  [10, "client", "meta.interpolation"], [11, "100/s", "constant.numeric.rate"], [12, "/u/", "string.unquoted.path"],
  [12, "id", "variable.parameter"], [12, "int", "storage.type"], [12, "GET", "constant.language.method"],
  [12, "^a{3}$", "string.regexp"], [12, "->", "keyword.operator.arrow"], [13, "redirect", "support.function.answer"],
  [13, "https://example.com/x", "string.unquoted.url"], [13, "else", "keyword.control"],
];

async function main() {
  const wasm = fs.readFileSync(path.join(modules, "vscode-oniguruma/release/onig.wasm")).buffer;
  await oniguruma.loadWASM(wasm);
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => textmate.parseRawGrammar(fs.readFileSync(grammarPath, "utf8"), "sluice.json"),
  });
  const grammar = await registry.loadGrammar("source.sluice");

  // The tokens of each line; what a line opens, it closes.
  const colour = (text, name) => {
    let stack = textmate.INITIAL;
    return text.split(/\r?\n/).map((line, number) => {
      const { tokens, ruleStack } = grammar.tokenizeLine(line, stack);
      assert.strictEqual(ruleStack.depth, 1, `${name}:${number + 1} goes on in the next line`);
      stack = ruleStack;
      return tokens.map((t) => ({ text: line.slice(t.startIndex, t.endIndex), scopes: t.scopes }));
    });
  };

  const sample = colour(SAMPLE, "sample");
  for (const [line, piece, scope] of EXPECTED) {
    // The token that the piece begins with.
    let at = SAMPLE.split("\n")[line].indexOf(piece);
    const token = sample[line].find((token) => (at -= token.text.length) < 0);
    const has = token && token.scopes.some((one) => one.startsWith(scope));
    assert(has, `line ${line}: \`${piece}\` is no ${scope}: ${JSON.stringify(sample[line])}`);
  }
  for (const file of files) {
    colour(fs.readFileSync(file, "utf8").replace(/^\uFEFF/, ""), file).forEach((tokens, number) => {
      for (const token of tokens.filter((token) => token.text.includes("->"))) {
        const quiet = token.scopes.some((scope) => /^(comment|string|keyword.operator.arrow)/.test(scope));
        assert(quiet, `${file}:${number + 1}: an arrow without colour: ${JSON.stringify(token)}`);
      }
      const comment = tokens.find((token) => token.scopes.length === 1 && /(^|\s)#/.test(token.text));
      assert(!comment, `${file}:${number + 1}: a comment without colour`);
    });
  }
  console.log(`${files.length} files: ok`);
}

main().catch((error) => { console.error(error.message); process.exit(1); });
