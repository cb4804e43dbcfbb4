import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseDocument } from "yaml";
import { readProject, type StackFile } from "../stack-file.ts";
import { Problem } from "../user-error.ts";

/** Where Pulumi keeps the state. */
export interface Backend {
  /** What Pulumi must find in its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** The folder of a state that these commands keep, because the user has no backend. */
  readonly local: string | undefined;
  /** For messages. */
  readonly url: string;
}

/** The backend that the user is logged in to, or else a folder of the project's own, with a passphrase that nobody has to invent. */
export function chooseBackend(project: string, env: NodeJS.ProcessEnv, say: (line: string) => void): Backend {
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
      throw new Problem(
        `The passphrase of the local state is gone: ${passphrase}.\nPut it back, or set PULUMI_CONFIG_PASSPHRASE. Without it the state's secrets are lost; ` +
          `to start anew, delete the stacks' namespaces in the cluster and then ${local}.`,
      );
    }
    writeFileSync(passphrase, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
    say(
      `You are logged in to no Pulumi backend, so the state is kept in ${state},\nits secrets encrypted with ${passphrase}. ` +
        "Git ignores both: keep them, or use `pulumi login` before the first run.",
    );
  }
  const href = pathToFileURL(state).href;
  return {
    env: {
      PULUMI_BACKEND_URL: href,
      // The copy of the stack's file comes without the salt of the secrets; the state has it as well.
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
 * The stack's settings as a file that Pulumi may write to. With a passphrase, Pulumi writes the salt of the secrets into the stack's file. That file is
 * committed, and the passphrase of a local state is nobody else's: so the settings are copied, anew for each run, and the salt goes into the copy.
 * Not if the file holds encrypted values: they can only be read with the salt, or the provider, that stands beside them.
 */
export function localStackFile(local: string, file: StackFile): string | undefined {
  if (file.encrypted) return undefined;
  const document = parseDocument(file.text);
  if (document.contents) for (const key of ["encryptionsalt", "secretsprovider", "encryptedkey"]) document.delete(key);
  const copy = join(local, basename(file.path));
  writeFileSync(copy, document.contents ? document.toString() : "", { mode: 0o600 });
  return copy;
}
