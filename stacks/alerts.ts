import type { z } from "zod";
import { receiverTypes } from "../registry-scan/index.ts";
import { secretKeyRef } from "./common.ts";
import * as v from "./kinds/index.ts";
import type { RuleProblem } from "./rule.ts";

/** Whether a receiver's URL is only an address, as that of an Alertmanager without a user: a webhook's is all that a client needs to send to it. */
const isAddress = (receiver: unknown) => {
  const { type, url } = receiver as { readonly type?: unknown; readonly url?: unknown };
  return type === "alertmanager" && typeof url === "string" && !url.includes("@");
};

export const alerts = v
  .uniqueListOf(
    v
      .block("ReceiverArgs", {
        name: v.plain(v.dnsLabel()).describe("Name of the receiver in logs and metrics."),
        type: v
          .plain(v.choice(receiverTypes))
          .describe(
            "`alertmanager`: an alert for each image, package and severity. `slack`: messages in Slack's format. `json`: the complete findings, for programs. `defectdojo`: all findings of each full run, imported into DefectDojo.",
          ),
        url: v
          .secretUrl()
          .meta({ isPublic: isAddress })
          .optional()
          .describe("URL to send to, as a secret: the root of an Alertmanager or of DefectDojo, or the complete URL of a webhook."),
        existingSecret: secretKeyRef("UrlSecretRef", "url").optional().describe("An existing Secret that holds the URL, instead of `url`."),
        authorization: v
          .secretText("use the header's value, such as Bearer and a token")
          .optional()
          .describe("Value of the Authorization header, as a secret; for DefectDojo `Token` and an API key."),
        defectDojo: v
          .block("DefectDojoArgs", {
            product: v.plain(v.anyText()).describe("Name of the product that the findings belong to."),
            productType: v
              .plain(v.anyText())
              .optional()
              .meta({ description: "Type of the product, with which it is created.", otherwise: "the product must exist" }),
            engagement: v.plain(v.anyText()).default("Registry scan").describe("Name of the engagement, which is created."),
          })
          .optional()
          .describe("Where in DefectDojo findings are imported, for a receiver of that type."),
      })
      .meta({ description: "A receiver of alerts.", conflicts: [["existingSecret", "url"]] }),
    "name",
  )
  .default([])
  .describe("Receivers that are notified of new and fixed findings after each run.");

export function* alertRules(receivers: z.output<typeof alerts>): Generator<RuleProblem> {
  for (const [index, { type, url, existingSecret, authorization, defectDojo }] of receivers.entries()) {
    const path = `registryScan.alerts[${index}]`;
    if (type === "defectdojo") {
      if (!defectDojo) yield { path: `${path}.defectDojo`, message: "is missing; use the product, as `product: NAME`" };
      if (authorization === undefined)
        yield { path: `${path}.authorization`, message: "is missing; use Token and an API key of DefectDojo, as a secret" };
    } else if (defectDojo) yield { path: `${path}.defectDojo`, message: `has no effect with type: ${type}; remove it` };
    if (url === undefined && existingSecret === undefined)
      yield {
        path: `${path}.url`,
        message: "is missing; set it as a secret, or set existingSecret to a Secret that holds it",
        concerns: [`${path}.existingSecret`],
      };
  }
}
