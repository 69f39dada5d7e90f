// Written by tests/generate from the words that the compiler knows.
module.exports = {
  items: ["gateway", "import", "let", "passthrough", "policy", "pool", "prove", "provider", "site", "table", "tcp", "tenant", "test", "udp"],
  statements: ["add", "catch", "else", "end", "keep", "let", "limit", "remove", "require", "set", "start", "tls", "use", "when"],
  operators: ["and", "else", "ends", "false", "has", "if", "in", "is", "matches", "missing", "not", "or", "starts", "true", "when", "with"],
  clauses: ["as", "at", "backup", "by", "fallback", "file", "from", "header", "host", "if", "in", "index", "missing", "per", "request", "response", "session", "type", "weight", "when", "with", "without"],
  answers: ["deny", "files", "login", "logout", "redirect", "respond"],
  settings: ["acme", "admin", "balance", "body", "cache", "callback", "challenges", "check", "claims", "client", "compress", "connect", "contact", "country", "cut", "default", "directory", "dns", "drain", "eab", "edition", "eject", "export", "fallback", "flow", "header", "hedge", "http", "https", "idle", "inspect", "issuer", "keys", "lifetime", "limits", "log", "metrics", "mirror", "panic", "paths", "profile", "protocol", "proxy-protocol", "queue", "resolve", "resolver", "retry", "root", "scopes", "secrets", "session", "slow-start", "sticky", "store", "terms", "tests", "timeout", "trust", "websocket"],
  lines: ["connect", "every", "expect", "given", "no", "request"],
  functions: ["api-key", "ask", "hash", "jwt", "local-path", "lower", "password", "session", "signed"],
  parts: ["body", "client", "cookie", "header", "host", "method", "query", "request", "secret", "tls"],
  types: ["bool", "cidr", "claims", "duration", "file", "host", "int", "ip", "list", "method", "path", "percent", "pool", "provider", "rate", "secret", "size", "status", "text", "url"],
  methods: ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"],
};
