import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { checkArguments } from "../../stacks/arguments.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const schema = JSON.parse(read("provider/schema.json"));

describe("the examples in other languages", () => {
  it("examples/yaml uses settings that the check accepts, and outputs that exist", () => {
    const { resources, outputs, packages } = parse(read("examples/yaml/Pulumi.yaml"));
    const { type, properties } = resources.service;
    expect(type).to.equal("trivy-server:ScanService");
    const { redis } = checkArguments(properties);
    expect(redis).to.include({ mode: "external", host: "redis.example.com" });
    expect(packages["trivy-server"]).to.equal("../../provider");
    for (const value of Object.values<string>(outputs))
      expect(schema.resources["trivy-server:index:ScanService"].properties).to.have.property(value.replace(/^\$\{service\.(\w+)\}$/, "$1"));
  });

  it("examples/python uses types, settings and outputs of the package's SDK", () => {
    const program = read("examples/python/__main__.py");
    const { inputProperties, properties } = schema.resources["trivy-server:index:ScanService"];
    const camelCase = (name: string) => name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    const typed = [...program.matchAll(/(\w+)=\[?\s*trivy\.(\w+)Args\((?=([^()]*))/g)];
    expect(typed).to.have.length.above(3);
    for (const [, argument = "", name = "", settings = ""] of typed) {
      const type = schema.types[`trivy-server:index:${name}`];
      expect(type, `trivy.${name}Args`).to.be.an("object");
      const references = [inputProperties, ...Object.values<{ properties?: object }>(schema.types).map((other) => other.properties ?? {})];
      expect(
        references.some((fields) => JSON.stringify(fields[camelCase(argument)])?.includes(`trivy-server:index:${name}"`)),
        `${argument}=trivy.${name}Args`,
      ).to.equal(true);
      for (const [, setting = ""] of settings.matchAll(/\b(\w+)=/g))
        expect(type.properties, `trivy.${name}Args`).to.have.property(camelCase(setting));
    }
    for (const [, output = ""] of program.matchAll(/service\.(\w+)/g)) expect(properties).to.have.property(camelCase(output));
  });
});
