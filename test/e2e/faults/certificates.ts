import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { must } from "../../support/command.ts";

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** A certificate authority outside the program, like an organisation's own; uses `openssl`. */
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

  /** Returns the authority's certificate as PEM. */
  certificate(): Promise<string> {
    return this.read("ca.crt");
  }

  /** Issues a certificate for an IP address; returns it and its key as PEM. */
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
