import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseDocument } from "yaml";
import { readProject, type StackFile } from "../stack-file.ts";
import { UserError } from "../user-error.ts";

/** Where Pulumi keeps the state. */
export interface Backend {
  /** Environment variables for Pulumi. */
  readonly env: Readonly<Record<string, string>>;
  /** The folder of the state that these commands manage; undefined if the user has a backend. */
  readonly local: string | undefined;
  /** For messages. */
  readonly url: string;
}

/**
 * Returns the backend that the user is logged in to, otherwise a folder of the project with a generated passphrase.
 *
 * @throws UserError if the local state has lost its passphrase.
 */
export function chooseBackend(project: string, env: NodeJS.ProcessEnv, notify: (line: string) => void): Backend {
  const url = usersBackend(project, env);
  if (url) return { env: {}, local: undefined, url };

  const local = join(project, ".pulumi-local");
  const state = join(local, "state");
  const passphrase = join(local, "passphrase");
  mkdirSync(state, { recursive: true });
  chmodSync(local, 0o700);
  const given = env["PULUMI_CONFIG_PASSPHRASE"] !== undefined || Boolean(env["PULUMI_CONFIG_PASSPHRASE_FILE"]);
  if (!given && !existsSync(passphrase)) {
    if (existsSync(join(state, ".pulumi", "stacks"))) {
      throw new UserError(
        `The passphrase of the local state is missing: ${passphrase} does not exist.\n` +
          "Restore the file or set PULUMI_CONFIG_PASSPHRASE. Without the passphrase, the secrets in the state are lost; " +
          `to start over, delete the namespaces of the stacks and then ${local}.`,
      );
    }
    writeFileSync(passphrase, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
    notify(
      `You are not logged in to a Pulumi backend, so the state is kept in ${state},\nand its secrets are encrypted with ${passphrase}. ` +
        "Git ignores both: keep them, or use `pulumi login` before the first run.",
    );
  }
  const href = pathToFileURL(state).href;
  return {
    env: {
      PULUMI_BACKEND_URL: href,
      // The copy of the stack's file lacks the salt of the secrets, which the state also has.
      PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER: "true",
      ...(!given && { PULUMI_CONFIG_PASSPHRASE_FILE: passphrase }),
    },
    local,
    url: href,
  };
}

function usersBackend(project: string, env: NodeJS.ProcessEnv): string | undefined {
  const url = env["PULUMI_BACKEND_URL"] || readProject(project).backend;
  if (url) return url;
  const cloud = env["PULUMI_API"] || "https://api.pulumi.com";
  if (env["PULUMI_ACCESS_TOKEN"]) return cloud;
  const credentials = join(env["PULUMI_CREDENTIALS_PATH"] || env["PULUMI_HOME"] || join(homedir(), ".pulumi"), "credentials.json");
  if (!existsSync(credentials)) return undefined;
  const { current }: { current?: unknown } = JSON.parse(readFileSync(credentials, "utf8"));
  return typeof current === "string" && current ? current : undefined;
}

/**
 * Copies the stack's file so that Pulumi can write to the copy, and returns its path. With a passphrase, Pulumi writes the salt of the
 * secrets to the stack's file, which is committed, while the passphrase of a local state stays on this machine. Each run makes a new copy.
 *
 * @returns undefined if the file holds encrypted values, which can only be decrypted with the salt or provider in the same file.
 */
export function localStackFile(local: string, file: Pick<StackFile, "encrypted" | "path" | "text">): string | undefined {
  if (file.encrypted) return undefined;
  const document = parseDocument(file.text);
  if (document.contents) for (const key of ["encryptionsalt", "secretsprovider", "encryptedkey"]) document.delete(key);
  const copy = join(local, basename(file.path));
  writeFileSync(copy, document.contents ? document.toString() : "", { mode: 0o600 });
  return copy;
}
