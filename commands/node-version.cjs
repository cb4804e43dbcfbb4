// Node runs this file before the program (Pulumi.yaml, nodeargs) and before the commands. It is plain JavaScript, because an older Node
// would only report an unknown file extension.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `This program needs Node 22.18 or newer, and the first one on the PATH is ${process.versions.node}. \`npm ci\` installs a newer one:\n` +
      `  PATH="$PWD/node_modules/.bin:$PATH" pulumi ...\nor use \`npm run up -- STACK\`, which sets the PATH itself.`,
  );
  // With this exit code, Pulumi adds no error of its own.
  process.exit(32);
}
// The compile cache saves about half a second of loading Pulumi's SDK, and as much of the Kubernetes client (measured).
require("node:module").enableCompileCache(`${__dirname}/../node_modules/.cache/compile`);
