import { expect } from "chai";
import { where } from "../../commands/where.ts";

describe("npm run where", () => {
  const refusal = (...args: string[]) =>
    where(args).then(
      () => "accepted",
      (error: Error) => error.message,
    );

  it("what cannot be searched is refused before the cluster is asked", async () => {
    for (const args of [[], ["dev"], ["dev", " "], ["dev", "openssl", "zlib"]])
      expect(await refusal(...args), args.join()).to.match(/^Usage: npm run where/);
    expect(await refusal("dev", "openssl", "--version", "1")).to.match(/Unknown option '--version'.*Usage/s);
    expect(await refusal("dev", "openssl", "--versions", "new")).to.match(
      /^--versions is not a valid range of semantic versions; use one such as/,
    );
    expect(await refusal("nowhere", "openssl")).to.match(/There is no stack nowhere/);
  });
});
