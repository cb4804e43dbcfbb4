import { secretKeyRef } from "./common.ts";
import * as v from "./kinds/index.ts";

export const alerts = v
  .listOf(
    v
      .block("ReceiverArgs", {
        name: v.plain(v.dnsLabel()).describe("Name of the receiver in logs and metrics."),
        type: v
          .plain(v.choice(["alertmanager", "slack", "json"]))
          .describe(
            "`alertmanager`: an alert for each image, package and severity. `slack`: messages in Slack's format. `json`: the complete findings, for programs.",
          ),
        url: v
          .secretUrl()
          .optional()
          .describe("URL to send to, as a secret: the root of an Alertmanager, or the complete URL of a webhook."),
        existingSecret: secretKeyRef("UrlSecretRef", "url").optional().describe("An existing Secret that holds the URL, instead of `url`."),
        authorization: v
          .secretText("use the header's value, such as Bearer and a token")
          .optional()
          .describe("Value of the Authorization header, as a secret."),
      })
      .describe("A receiver of alerts."),
  )
  .default([])
  .describe("Receivers that are notified of new and fixed findings after each run.");
