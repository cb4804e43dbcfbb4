import { dnsLabelAdvice, isDnsLabel, isDnsName } from "./network.ts";
import { checked, matching, text } from "./text.ts";

/** A namespace for the service. */
export const namespaceName = () =>
  checked(
    "DNS label",
    dnsLabelAdvice,
    (value) => {
      if (!isDnsLabel(value)) return dnsLabelAdvice;
      return value === "default" || value.startsWith("kube-")
        ? "that namespace belongs to Kubernetes; use a separate one for the service"
        : undefined;
    },
    { pattern: /^(?!default$|kube-)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/ },
  );

/** A namespace that clients are in; `*` means every namespace. */
export const clientNamespace = () =>
  matching("DNS label or *", `${dnsLabelAdvice}; or "*" for every namespace`, /^(\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$/);

export const objectName = () =>
  text(
    "name of an object",
    "use a DNS name: lowercase letters, digits, hyphens and dots, a letter or digit at both ends",
    isDnsName,
    /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
  );

/** An Ingress class is a DNS name; a load balancer class may have a prefix. */
export const className = () =>
  text(
    "name of a class",
    "use a class such as traefik or service.example.com/balancer",
    (value) => {
      const [name = "", prefix, ...rest] = value.split("/").reverse();
      return rest.length === 0 && isDnsLabel(name) && (prefix === undefined || isDnsName(prefix));
    },
    /^([a-z0-9.-]+\/)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
  );

/** A key of a Secret's data. */
export const dataKey = () => matching("key of a Secret", "use letters, digits, hyphens, dots and underscores", /^[-._a-zA-Z0-9]{1,253}$/);

export const variableName = () =>
  matching(
    "name of a variable",
    "use letters, digits and underscores, starting with a letter or an underscore",
    /^[A-Za-z_][A-Za-z0-9_]*$/,
  );

const namePattern = /^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$/;

/** The name of a label or annotation. */
export const labelKey = () =>
  text(
    "label",
    "use a label's name such as team or example.com/team",
    (value) => {
      const [name = "", prefix, ...rest] = value.split("/").reverse();
      return rest.length === 0 && namePattern.test(name) && (prefix === undefined || isDnsName(prefix));
    },
    /^([a-z0-9.-]+\/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$/,
  );

export const labelValue = () =>
  matching(
    "value of a label",
    "use at most 63 letters, digits, hyphens, dots and underscores, a letter or digit at both ends; put numbers in quotes",
    /^([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$/,
  );
