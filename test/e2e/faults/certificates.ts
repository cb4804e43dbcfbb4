import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { must } from "../../support/command.ts";

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** A certificate authority as an organisation has one, for certificates that do not come from the program; `openssl` makes them. */
export class Authority {
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<Authority> {
    const authority = new Authority(await mkdtemp(join(tmpdir(), "authority-")));
    await authority.request("ca", "faults");
    return authority;
  }

  /** PEM. */
  certificate(): Promise<string> {
    return this.read("ca.crt");
  }

  /** A certificate for an IP address, and its key, PEM. */
  async issue(address: string): Promise<{ certificate: string; key: string }> {
    const extensions = ["-addext", `subjectAltName=IP:${address}`, "-addext", "basicConstraints=critical,CA:FALSE"];
    await this.request("tls", address, "-CA", join(this.folder, "ca.crt"), "-CAkey", join(this.folder, "ca.key"), ...extensions);
    return { certificate: await this.read("tls.crt"), key: await this.read("tls.key") };
  }

  private async request(file: string, commonName: string, ...args: string[]): Promise<void> {
    const files = ["-keyout", join(this.folder, `${file}.key`), "-out", join(this.folder, `${file}.crt`)];
    await must("openssl", ["req", "-x509", "-days", "1", "-subj", `/CN=${commonName}`, ...newKey, ...files, ...args]);
  }

  private read(file: string): Promise<string> {
    return readFile(join(this.folder, file), "utf8");
  }
}
