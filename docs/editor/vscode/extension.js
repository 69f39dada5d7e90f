// Starts `sluice lsp` for route files; everything else is the server's.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = function activate() {
  const command = workspace.getConfiguration("sluice").get("path", "sluice");
  const server = { command, args: ["lsp"] };
  client = new LanguageClient("sluice", "Sluice", { run: server, debug: server }, {
    documentSelector: [{ language: "sluice" }],
    synchronize: { fileEvents: workspace.createFileSystemWatcher("**/*.route") },
  });
  return client.start();
};

exports.deactivate = function deactivate() {
  return client && client.stop();
};
