import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { render } from "../../commands/render/render.ts";
import { plain } from "../../recorder/record.ts";
import { type Deployed, deploy } from "../support/service.ts";

const root = join(import.meta.dirname, "../..");
const update = Boolean(process.env["UPDATE_SNAPSHOTS"]);

/** Compares a text with the approved one, or approves it when the environment variable UPDATE_SNAPSHOTS is set. */
function expectApproved(file: string, text: string): void {
  const path = join(import.meta.dirname, file);
  if (update) writeFileSync(path, text);
  expect(text, `${file} has changed; if the change is intended, run npm run snapshots and review the difference`).to.equal(
    readFileSync(path, "utf8"),
  );
}

describe("approved snapshots", () => {
  before(() => {
    if (update && process.env["CI"]) throw new Error("UPDATE_SNAPSHOTS is set in CI, where every snapshot would pass; unset it");
  });

  describe("of the stacks' manifests", () => {
    let project: string;
    before(() => {
      // The manifests go to out/ of the project, where the developer may have some with secrets.
      project = mkdtempSync(join(tmpdir(), "snapshots-"));
      for (const file of readdirSync(root).filter((name) => /^(index\.ts|Pulumi.*\.yaml)$/.test(name)))
        symlinkSync(join(root, file), join(project, file));
    });
    after(() => rmSync(project, { recursive: true }));

    for (const stack of ["dev", "staging", "prod"])
      it(`the manifests of ${stack} are the approved ones`, async () => {
        await render({ project, stack, omitSecrets: true });
        const folder = join(project, "out", stack);
        const manifests = readdirSync(folder)
          .filter((file) => !/-(programs|wait-program)\.yaml$/.test(file))
          .sort()
          .map((file) => `---\n# ${file}\n${readFileSync(join(folder, file), "utf8").replace(/^# Written by .*\n/, "")}`);
        // The programs themselves are no manifests to review.
        expectApproved(`${stack}.yaml`, manifests.join("").replaceAll(/(-(?:programs|wait-program))-[0-9a-f]{8}$/gm, "$1-<hash>"));
      });
  });

  describe("of configuration files, with every optional part of them", () => {
    let deployed: Deployed;
    before(async () => {
      deployed = await deploy({
        gateway: {
          enabled: true,
          tls: { enabled: true, plainHttp: true },
          rateLimit: 600,
          clients: [{ name: "team-a" }, { name: "team-b" }],
        },
        redis: { generation: 2, tls: { enabled: true }, monitors: ["monitoring"] },
      });
    });

    it("the configurations of HAProxy are the approved ones", () => {
      for (const file of ["edge.cfg", "balancer.cfg"]) expectApproved(file, deployed.one("ConfigMap", "trivy-gateway-config").data[file]);
    });

    it("redis.conf is the approved one", () => {
      expectApproved("redis.conf", deployed.one("ConfigMap", "trivy-redis-config").data["redis.conf"]);
    });

    it("users.acl is the approved one, with the passwords' names in the place of their hashes", () => {
      const acl: string = deployed.one("Secret", "trivy-redis-users").stringData["users.acl"];
      const named = deployed.resources
        .filter(({ type }) => type === "random:index/randomPassword:RandomPassword")
        .reduce(
          (text, { name, state }) => text.replaceAll(sha256((plain(state) as { result: string }).result), `<SHA-256 of ${name}>`),
          acl,
        );
      expectApproved("users.acl", named);
    });
  });
});

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
