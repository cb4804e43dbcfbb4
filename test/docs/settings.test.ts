import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { checkSettings } from "../../stacks/index.ts";
import { certificate } from "../support/certificate.ts";
import { readPages, root } from "./markdown.ts";

const pages = readPages().filter(({ path }) => path !== "docs/reference/settings.md");
const reference = readFileSync(join(root, "docs/reference/settings.md"), "utf8");

/** Every path in backticks of the reference, such as `gateway.clients[].token`. */
const settings = [...new Set([...reference.matchAll(/`([a-z]\w*(?:\[\])?(?:\.\w+(?:\[\])?)*)`/gi)].map(([, path = ""]) => path))];
/** Keys of blocks: a dotted name that begins with one of them means a setting. */
const blocks = new Set(settings.flatMap((path) => path.split(".").slice(0, -1)));
const isSetting = (path: string) =>
  settings.some((setting) => setting === path || setting.endsWith(`.${path}`) || setting.startsWith(`${path}.`));
const file = /\.(?:acl|cfg|conf|crt|html|json|md|ndjson|png|sarif|sh|svg|ts|ya?ml)$/;

describe("the documentation's settings", () => {
  it("settings in backticks exist in the generated reference", () => {
    const named = pages.flatMap(({ path, prose }) =>
      [...prose.matchAll(/`([a-z]\w*(?:\[\])?(?:\.\w+(?:\[\])?)+)(?:: [^`]*)?`/gi)]
        .map(([, name = ""]) => ({ path, name }))
        .filter(({ name }) => blocks.has(name.split(".")[0] ?? "") && !file.test(name)),
    );
    expect(named).to.have.length.above(80);
    expect(named.filter(({ name }) => !isSetting(name))).to.deep.equal([]);
  });

  it("the examples of settings in YAML blocks are valid", () => {
    const examples = pages.flatMap((page) =>
      page.blocks
        .filter(({ language, text }) => language === "yaml" && /^ *trivy-server:/m.test(text))
        .map(({ text }) => ({ page: page.path, text })),
    );
    expect(examples).to.have.length.above(10);
    for (const { page, text } of examples) {
      // What is encrypted or shortened on the page is completed here.
      const complete = text
        .replaceAll(/\{ *secure: … *\}/g, '"https://hooks.example.com/secret"')
        .replaceAll(/^( *)-----BEGIN CERTIFICATE-----$/gm, (_, indent: string) => certificate.trim().replaceAll(/^/gm, indent));
      const document = parse(complete) as Record<string, unknown>;
      const given = (document["config"] ?? document) as Record<string, unknown>;
      const blocks = Object.fromEntries(Object.entries(given).map(([key, value]) => [key.replace("trivy-server:", ""), value]));
      expect(() => checkSettings(blocks), `${page}:\n${text}`).not.to.throw();
    }
  });
});
