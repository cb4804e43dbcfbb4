// `npm ci` runs this file. Where Node is too old for the project, it puts a newer one into node_modules/.bin, which npm searches first for
// every command. It is plain JavaScript, because an older Node cannot run TypeScript.
const { spawnSync } = require("node:child_process");
const { renameSync, rmSync } = require("node:fs");
const { join } = require("node:path");

const root = join(__dirname, "../..");
const isSupported = spawnSync(process.execPath, ["--require", join(root, "commands/node-version.cjs"), "--eval", ""]).status === 0;
if (!isSupported) {
  const { status } = spawnSync(process.execPath, [process.env.npm_execpath, "ci", "--no-audit", "--no-fund"], {
    cwd: __dirname,
    stdio: "inherit",
  });
  if (status !== 0) {
    console.error("A newer Node could not be installed (above). Install Node 22.18 or newer yourself.");
    process.exit(1);
  }
  const program = process.platform === "win32" ? "node.exe" : "node";
  renameSync(join(__dirname, "node_modules/node/bin", program), join(root, "node_modules/.bin", program));
  rmSync(join(__dirname, "node_modules"), { recursive: true });
}
