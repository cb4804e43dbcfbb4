// Node runs this before the program (Pulumi.yaml, nodeargs) and before the commands. Plain JavaScript, because an older Node would only say that it does not know `.ts`.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `This program needs Node 22.18 or newer, and the first on the PATH is ${process.versions.node}. The project brings one:\n` +
      `  PATH="$PWD/node_modules/.bin:$PATH" pulumi ...\nor use \`npm run up -- STACK\`, which does that by itself.`,
  );
  // Pulumi's sign that the reason has been said.
  process.exit(32);
}
// What Node has compiled once, the next run reads: about half a second less of Pulumi's SDK, and as much of the Kubernetes client.
require("node:module").enableCompileCache(`${__dirname}/../node_modules/.cache/compile`);
