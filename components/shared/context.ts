import type { Input } from "@pulumi/pulumi";
import type { AuthoritiesArgs, EgressArgs, ImagesArgs, PodsArgs, ProxyArgs, SchedulingArgs } from "../args.ts";

/** What all objects of one installation have in common. */
export interface Identity {
  /** The installation that the objects belong to, usually the stack: the label `app.kubernetes.io/instance`. */
  readonly instance: Input<string>;
  /** Further labels of every object, such as team or cost centre. @default none */
  readonly labels?: Readonly<Record<string, Input<string>>>;
  /** Whether the objects that hold data, or everything else, are protected from deletion. @default true */
  readonly protect?: boolean;
}

/** What all components of one installation have in common. */
export interface Context extends Identity {
  /** Name of the namespace. */
  readonly namespace: Input<string>;
  /** Whether others have objects in the namespace, so that no object of the service has a name that they may use. @default false */
  readonly sharedNamespace?: boolean;
  /** Container images, and where they are pulled from. @default the public registries */
  readonly images?: ImagesArgs;
  /** Which nodes the pods run on. @default any node */
  readonly scheduling?: SchedulingArgs;
  /** User IDs and CPU limits. @default fixed IDs and no limits */
  readonly pods?: PodsArgs;
  /** Annotations of every pod. @default none */
  readonly podAnnotations?: Readonly<Record<string, Input<string>>>;
  /** Whether pods with metrics have the annotations by which a Prometheus without the operator finds them. @default false */
  readonly scrapeAnnotations?: boolean;
  /** HTTP proxies for connections that leave the cluster. @default none */
  readonly proxy?: ProxyArgs;
  /** Where hosts are that the pods connect to, if their name does not say it. @default none */
  readonly egress?: readonly EgressArgs[];
  /** Which generations of the stack's certificate authorities are valid. @default { generation: 1, retire: 0 } */
  readonly authorities?: AuthoritiesArgs;
  /** DNS domain of the cluster. @default cluster.local */
  readonly clusterDomain?: Input<string>;
}
