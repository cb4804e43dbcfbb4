/**
 * Arguments of the components, and their defaults. Generated from the schema in stacks/ by `npm run generate`: change it there.
 */

import type { Input } from "@pulumi/pulumi";

/** Everything that can be set about a service. */
export interface SettingsArgs {
  /** The namespace that the service runs in. */
  readonly namespace?: NamespaceSettings;
  /** Container images, and where they are pulled from. */
  readonly images?: ImagesArgs;
  /** The Trivy servers. */
  readonly server?: ServerArgs;
  /**
   * HAProxy in front of the servers: retries failed requests on another server, queues, authenticates clients by their tokens, terminates
   * TLS.
   */
  readonly gateway?: GatewayArgs;
  /**
   * Trust domains. The other clients, the registry scan and the synthetic scan share the servers of `server`, whose other settings apply to
   * all servers.
   * @default none
   */
  readonly domains?: readonly DomainArgs[];
  /** Where the servers get the vulnerability database. */
  readonly database?: DatabaseArgs;
  /** HTTP proxies for connections that leave the cluster. */
  readonly proxy?: ProxyArgs;
  /**
   * Where hosts are that the pods connect to, for the network policies, which know pods and addresses but no names. Needed for private
   * names, and for Services on a port that is not their pods'.
   * @default none
   */
  readonly egress?: readonly EgressArgs[];
  /**
   * The cluster's DNS, if it is none that is known: pods in kube-system or openshift-dns on the ports 53, 5353, 8053 and 1053; the caches
   * on nodes of Kubernetes' add-on, Kubespray and AKS; Cloud DNS of GKE.
   */
  readonly dns?: DnsArgs;
  /** The cache that the servers share. */
  readonly redis?: RedisArgs;
  /** Which clients may connect to the service, as the network policies enforce it. */
  readonly access?: AccessArgs;
  /** How clients outside the cluster reach the service. */
  readonly exposure?: ExposureSettings;
  /** Scheduled scans of images in registries, with reports and alerts for new findings. */
  readonly registryScan?: RegistryScanArgs;
  /** Metrics, alerts and dashboards for Prometheus and Grafana. */
  readonly monitoring?: MonitoringArgs;
  /** Which nodes the pods run on. */
  readonly scheduling?: SchedulingArgs;
  /** What all pods have in common. */
  readonly pods?: PodsArgs;
  /**
   * Protects the namespace and the volume claims: Pulumi refuses to delete or replace them, and keeps them in the cluster if they leave the
   * state. Set it to false and run `up` before you destroy the stack.
   * @default true
   */
  readonly protect?: boolean;
  /** The certificate authorities that the stack generates: of the gateway, Redis, the reports server and the database mirror. */
  readonly authorities?: AuthoritiesArgs;
  /** DNS domain of the cluster. @default cluster.local */
  readonly clusterDomain?: Input<string>;
  /** Labels of every object, such as team or cost centre. @default none */
  readonly labels?: Readonly<Record<string, Input<string>>>;
  /** Annotations of every pod, such as for a service mesh or a log collector. @default none */
  readonly podAnnotations?: Readonly<Record<string, Input<string>>>;
}

/** The namespace that the service runs in. */
export interface NamespaceSettings {
  /** Name of the namespace. @default trivy */
  readonly name?: Input<string>;
  /**
   * Creates the namespace, with Pod Security `restricted`. If false, the namespace must exist, and only the service's own pods are isolated
   * in it.
   * @default true
   */
  readonly create?: boolean;
}

/** Container images, and where they are pulled from. */
export interface ImagesArgs {
  /**
   * Registry, with an optional path, that replaces the host of the default images: a mirror, for clusters without internet access.
   * @default the public registries
   */
  readonly registry?: Input<string>;
  /** Names of existing Secrets of type kubernetes.io/dockerconfigjson for pulling images. @default none */
  readonly pullSecrets?: readonly Input<string>[];
  /**
   * Complete reference of the servers' image, Trivy 0.62 or newer; `registry` does not change it. Releases that contained malware are
   * refused.
   * @default ghcr.io/aquasecurity/trivy:0.74.0@sha256:62b1e65e8869bc4b4c6aa4fa2b21595256c7c2f6018a9d9ad61caf87187c1969
   */
  readonly trivy?: Input<string>;
  /** Complete reference of the gateway's image, HAProxy 3.0 or newer. @default docker.io/library/haproxy:3.0.11 */
  readonly haproxy?: Input<string>;
  /**
   * Complete reference of an image with Node 24.5 or newer, for the registry scan, the mirror and the monitoring.
   * @default docker.io/library/node:24.21.0-alpine@sha256:ebfe2f90462722a7a4de65e91990e97fe0d401c70e0e762c5b53302f905ec1c1
   */
  readonly node?: Input<string>;
  /**
   * Complete reference of the image that the registry scan copies `crane` from.
   * @default gcr.io/go-containerregistry/crane/debug:v0.21.6
   */
  readonly crane?: Input<string>;
  /**
   * Complete reference of the cache's image: Redis 7.0 or newer, or Valkey 7.2 or newer.
   * @default docker.io/library/redis:8.10.2-alpine3.23@sha256:3811787313eba226a2ef38658c6ccb91cd5e110edc89c37767de373120a0e5a0
   */
  readonly redis?: Input<string>;
  /** Complete reference of the image that exports Redis' metrics to Prometheus. @default docker.io/oliver006/redis_exporter:v1.88.0 */
  readonly redisExporter?: Input<string>;
}

/** The Trivy servers. */
export interface ServerArgs {
  /** Number of servers. @default 2 */
  readonly replicas?: Input<number>;
  /** Scales the number of servers with their CPU utilization, instead of `replicas`. @default none */
  readonly autoscaling?: AutoscalingArgs;
  /** The token that clients must send. It has no effect with the gateway, which has a token for each client. */
  readonly token?: TokenArgs;
  /**
   * CPU and memory of each server. The vulnerability database is mapped into the memory, and read from disk again when memory is short.
   * @default { requests: { cpu: "200m", memory: "512Mi" }, limits: { memory: "2Gi" } }
   */
  readonly resources?: Resources;
  /**
   * Size limit of each of two volumes: one for the vulnerability database (1.2 GB in 2026, doubling every two years), one for unpacking an
   * update.
   * @default 2Gi
   */
  readonly databaseVolume?: Input<string>;
  /** Seconds for which a server keeps answering after it has been removed from the Service's endpoints. @default 15 */
  readonly drainSeconds?: Input<number>;
  /** Whether the servers log verbosely. @default false */
  readonly debug?: Input<boolean>;
  /** Certificate authorities, PEM, to trust in addition to the system's: for registries, proxies and Redis. @default none */
  readonly caCertificates?: Input<string>;
  /** Additional environment variables. @default none */
  readonly env?: Readonly<Record<string, Input<string>>>;
  /** Names of existing Secrets whose keys become environment variables. @default none */
  readonly envFromSecrets?: readonly Input<string>[];
}

/** Scales the number of servers with their CPU utilization, instead of `replicas`. */
export interface AutoscalingArgs {
  /** Minimum number of servers. @default 2 */
  readonly minReplicas?: Input<number>;
  /** Maximum number of servers. */
  readonly maxReplicas: Input<number>;
  /** Average CPU utilization to aim at, in percent of the servers' CPU request. @default 70 */
  readonly targetCpuUtilization?: Input<number>;
}

/** The token that clients must send. It has no effect with the gateway, which has a token for each client. */
export interface TokenArgs {
  /** Whether clients must send a token. @default true */
  readonly enabled?: boolean;
  /** The token, as a secret. @default 32 generated letters and digits */
  readonly value?: Input<string>;
  /** Number of the generated token. Another number generates another token, which every client needs at once. @default 1 */
  readonly generation?: number;
  /** An existing Secret that holds the token, instead of `value`. @default none */
  readonly existingSecret?: TokenSecretRef;
}

/** A value in an existing Secret. */
export interface TokenSecretRef {
  /** Name of the Secret, in the service's namespace. */
  readonly name: Input<string>;
  /** Key in the Secret. @default token */
  readonly key?: Input<string>;
}

/** CPU and memory of a container, as Kubernetes quantities. */
export interface Resources {
  /** What the scheduler reserves for each pod. */
  readonly requests?: ResourceRequests;
  /** The maximum for each pod. */
  readonly limits?: ResourceLimits;
}

/** What the scheduler reserves for each pod. */
export interface ResourceRequests {
  /** CPU that the scheduler reserves. */
  readonly cpu?: Input<string>;
  /** Memory that the scheduler reserves. */
  readonly memory?: Input<string>;
}

/** The maximum for each pod. */
export interface ResourceLimits {
  /** Maximum CPU. */
  readonly cpu?: Input<string>;
  /** Maximum memory. */
  readonly memory?: Input<string>;
}

/**
 * HAProxy in front of the servers: retries failed requests on another server, queues, authenticates clients by their tokens, terminates
 * TLS.
 */
export interface GatewayArgs {
  /** Creates the gateway. @default false */
  readonly enabled?: boolean;
  /** Number of gateway pods. @default 2 */
  readonly replicas?: Input<number>;
  /** Clients that may scan. Each has its own token and a fair share of the servers. @default one called default */
  readonly clients?: readonly ClientArgs[];
  /** Number of requests that one server processes at a time; further requests wait in the gateway. @default 16 */
  readonly requestsPerServer?: Input<number>;
  /**
   * Maximum number of requests per minute from each client. A scan needs three, and one more for each new layer. Requests above the limit
   * are refused with a request to retry, which Trivy does for half a minute.
   * @default no limit
   */
  readonly rateLimit?: Input<number>;
  /** Maximum size of a request, which holds the analysis of one layer: about 4Mi for 20,000 packages. @default 64Mi */
  readonly maxRequestSize?: Input<string>;
  /** TLS between the clients and the gateway. */
  readonly tls?: GatewayTlsArgs;
  /**
   * Whether clients reach gateway pods in their own zone while there are any. Needs Kubernetes 1.34: set it to false on older clusters.
   * @default true
   */
  readonly preferSameZone?: boolean;
  /**
   * CPU and memory of the balancer in each gateway pod. The memory limit bounds the requests in progress.
   * @default { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "1Gi" } }
   */
  readonly resources?: Resources;
  /**
   * The part of the gateway that faces the clients: terminates TLS, identifies clients, and bounds what connections without a token can
   * use.
   */
  readonly edge?: GatewayEdgeArgs;
  /** Namespaces whose pods may read the metrics, on ports 8405 and 8406; `*` means every namespace. @default none */
  readonly monitors?: readonly Input<string>[];
}

/** A client that may scan, such as a team: identified by its token. */
export interface ClientArgs {
  /** Name of the client in outputs, logs and metrics, such as a team's. */
  readonly name: string;
  /** Number of the generated token. Increase it by one to generate a new token; the previous one stays valid until `retire`. @default 1 */
  readonly generation?: number;
  /**
   * Generated tokens up to this number are no longer valid. Set it to the previous number when the new token is in use everywhere.
   * @default 0
   */
  readonly retire?: number;
  /** The token, as a secret. @default 32 generated letters and digits */
  readonly token?: Input<string>;
  /** A second valid token, as a secret, while clients change from it to `token`. @default none */
  readonly previousToken?: Input<string>;
}

/** TLS between the clients and the gateway. */
export interface GatewayTlsArgs {
  /** Serves HTTPS on port 443. @default false */
  readonly enabled?: boolean;
  /**
   * Name of an existing Secret of type kubernetes.io/tls with the certificate, such as cert-manager's; a renewed one is used within a
   * minute.
   * @default none
   */
  readonly existingSecret?: Input<string>;
  /** The certificate, PEM, followed by intermediate ones. @default generated, issued by the stack's own certificate authority */
  readonly certificate?: Input<string>;
  /** The private key of `certificate`, PEM, as a secret. @default none */
  readonly key?: Input<string>;
  /**
   * Certificate authorities, PEM, that clients need for `certificate` or `existingSecret`: the output `caCertificate`.
   * @default the generated authority
   */
  readonly caCertificates?: Input<string>;
  /** DNS names and IP addresses in the generated certificate, in addition to the Service's names. @default none */
  readonly names?: readonly Input<string>[];
  /** Also serves plain HTTP on port 80 in the cluster; otherwise only `kubectl port-forward` reaches that port. @default false */
  readonly plainHttp?: boolean;
}

/**
 * The part of the gateway that faces the clients: terminates TLS, identifies clients, and bounds what connections without a token can use.
 */
export interface GatewayEdgeArgs {
  /**
   * Maximum number of connections from one address (of IPv6: from one network of 64 bits) to one gateway pod that have not presented a
   * valid token. Further connections are refused until one of them presents its token or ends, after five seconds at most.
   * @default 1000
   */
  readonly connectionsPerAddress?: Input<number>;
  /** CPU and memory of the edge in each gateway pod. @default { requests: { cpu: "50m", memory: "32Mi" }, limits: { memory: "512Mi" } } */
  readonly resources?: Resources;
}

/** A trust domain: clients with servers and cached layers of their own. No other client can change what their scans find. */
export interface DomainArgs {
  /** Name of the domain, in the names of its objects: at most 40 characters. */
  readonly name: string;
  /** Names of the clients in `gateway.clients` that use the domain's servers. A client is in one domain at most. */
  readonly clients: readonly string[];
  /**
   * Number of the Redis database with the domain's layers. Do not give it to another domain before `redis.ttl` has passed, because its
   * layers stay until then.
   */
  readonly cacheDatabase: number;
  /** Number of servers. @default 2 */
  readonly replicas?: Input<number>;
  /** Scales the number of servers with their CPU utilization, instead of `replicas`. @default none */
  readonly autoscaling?: AutoscalingArgs;
}

/** Where the servers get the vulnerability database. */
export interface DatabaseArgs {
  /**
   * OCI repositories of the vulnerability database, in the order in which they are tried. The next one is tried when one answers 408, 429
   * or 5xx, not when it cannot be reached.
   * @default mirror.gcr.io/aquasec/trivy-db:2, ghcr.io/aquasecurity/trivy-db:2, public.ecr.aws/aquasecurity/trivy-db:2
   */
  readonly repositories?: readonly Input<string>[];
  /** One download of the databases for everyone. */
  readonly mirror?: DatabaseMirrorArgs;
  /**
   * Tries plain HTTP when HTTPS fails. Trivy then verifies the certificate of no registry; prefer `server.caCertificates`.
   * @default false
   */
  readonly plainHttp?: Input<boolean>;
  /** Logins for registries, at most one for each. @default none */
  readonly credentials?: readonly LoginArgs[];
  /** Name of an existing Secret of type kubernetes.io/dockerconfigjson with the logins, instead of `credentials`. @default none */
  readonly existingSecret?: Input<string>;
  /**
   * CIDR blocks that the servers and the mirror may reach on any port, in addition to the repositories' hosts: for private addresses behind
   * public names, or blobs stored on other hosts.
   * @default none
   */
  readonly cidrs?: readonly Input<string>[];
}

/** One download of the databases for everyone. */
export interface DatabaseMirrorArgs {
  /** Downloads and verifies each new build once, for all servers: in a pod of the stack, or with `to` into your registry. @default false */
  readonly enabled?: boolean;
  /**
   * OCI repository of your registry, such as registry.example.com/security/trivy-db:2, into which a CronJob copies each new build.
   * @default a pod of the stack keeps the builds and serves them
   */
  readonly to?: string;
  /** Whether servers may use `database.repositories` while the mirror cannot be reached or has no build. @default true */
  readonly fallback?: boolean;
  /** Queries no repository. Builds are pushed with `npm run database`, and the servers use only the mirror. @default false */
  readonly offline?: boolean;
  /** Time between two queries for a new build, which is varied by a tenth. @default 1h */
  readonly interval?: Input<string>;
  /** With `to`: when to query for a new build, a cron expression. @default 17 * * * * */
  readonly schedule?: Input<string>;
  /** Number of builds to keep of each database. @default 3 */
  readonly keep?: Input<number>;
  /** Digest of a kept build of the vulnerability database to serve, to stay on it or to roll back to it. @default the newest */
  readonly pin?: Input<string>;
  /** The database by which clients identify Java archives (trivy-java-db). */
  readonly java?: JavaDatabaseArgs;
  /** Size of the volume claim for the builds. @default 2Gi, with java 8Gi */
  readonly size?: Input<string>;
  /** StorageClass of the claim. @default the cluster's default */
  readonly storageClass?: Input<string>;
  /** Size limit of the volume on which a new build is unpacked, to verify it: 1.4Gi for the vulnerability database in 2026. @default 4Gi */
  readonly workVolume?: Input<string>;
  /** Logins for registries, at most one for each. @default database.credentials */
  readonly credentials?: readonly LoginArgs[];
  /** Name of an existing Secret of type kubernetes.io/dockerconfigjson with the logins, instead of `credentials`. @default none */
  readonly existingSecret?: Input<string>;
  /** Namespaces whose pods may read the mirror's metrics, on port 8080; `*` means every namespace. @default none */
  readonly monitors?: readonly Input<string>[];
  /**
   * CPU and memory of the mirror, and of the job that copies. A new build is verified with Trivy, which maps it into the memory.
   * @default { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "1Gi" } }
   */
  readonly resources?: Resources;
}

/** The database by which clients identify Java archives (trivy-java-db). */
export interface JavaDatabaseArgs {
  /** Mirrors the Java database too. @default false */
  readonly enabled?: boolean;
  /**
   * OCI repositories of the Java database, in the order in which they are tried.
   * @default mirror.gcr.io/aquasec/trivy-java-db:1, ghcr.io/aquasecurity/trivy-java-db:1
   */
  readonly repositories?: readonly Input<string>[];
  /** With `database.mirror.to`: the repository that the Java database is copied to. @default not copied */
  readonly to?: Input<string>;
}

/** The login for one registry. */
export interface LoginArgs {
  /** Host of the registry, with its port if it has one. */
  readonly registry: Input<string>;
  /** User name. */
  readonly username: Input<string>;
  /** Password or access token, as a secret. */
  readonly password: Input<string>;
}

/** HTTP proxies for connections that leave the cluster. */
export interface ProxyArgs {
  /** URL of the proxy for HTTP. @default none */
  readonly http?: Input<string>;
  /** URL of the proxy for HTTPS. @default none */
  readonly https?: Input<string>;
  /**
   * Hosts, domains with their subdomains, and CIDR blocks that are reached directly, each with a port if need be, in addition to the
   * cluster's own.
   * @default none
   */
  readonly noProxy?: readonly Input<string>[];
}

/** Where hosts are, for the network policies. */
export interface EgressArgs {
  /** Hosts as other settings name them: of registries, an external Redis, receivers, a bucket or a proxy. */
  readonly hosts: readonly Input<string>[];
  /** Namespaces of the pods that answer, such as those of an Ingress controller; `*` means every namespace. @default none */
  readonly namespaces?: readonly Input<string>[];
  /** Labels of the pods that answer; without `namespaces`, of pods in the service's own namespace. @default none */
  readonly podLabels?: Readonly<Record<string, Input<string>>>;
  /** CIDR blocks of the hosts' addresses. @default none */
  readonly cidrs?: readonly Input<string>[];
  /** Ports on which those pods or addresses listen. @default the port in the other setting */
  readonly ports?: readonly Input<number>[];
}

/**
 * The cluster's DNS, if it is none that is known: pods in kube-system or openshift-dns on the ports 53, 5353, 8053 and 1053; the caches on
 * nodes of Kubernetes' add-on, Kubespray and AKS; Cloud DNS of GKE.
 */
export interface DnsArgs {
  /** Namespaces of the resolvers' pods; `*` means every namespace. @default none */
  readonly namespaces?: readonly Input<string>[];
  /** CIDR blocks of resolvers that are not pods, such as a cache on each node or a cloud's resolver. @default none */
  readonly cidrs?: readonly Input<string>[];
  /** Ports on which the resolvers listen, in addition to 53; of pods those of the containers, not the Service's. @default none */
  readonly ports?: readonly Input<number>[];
}

/** The cache that the servers share. */
export type RedisArgs = EmbeddedRedisArgs | ExternalRedisArgs;

/** A Redis or Valkey of the service's own: one pod, with a generated password. */
export interface EmbeddedRedisArgs {
  /** A Redis of the service's own. @default embedded */
  readonly mode?: "embedded";
  /** How long the analysis of an image stays in the cache, counted from the analysis; reading does not renew it. @default 168h */
  readonly ttl?: Input<string>;
  /**
   * Memory for the cache's data; when it is full, the least recently used entries are evicted. 10,000 images with 500 packages each need
   * about 1Gi (measured: 205 bytes a package). The container reserves twice as much, and may use three times as much while Redis rewrites
   * its file.
   * @default 512Mi
   */
  readonly maxMemory?: Input<string>;
  /** CPU that the scheduler reserves for the container. @default 100m */
  readonly cpu?: Input<string>;
  /** The volume that keeps the cache across restarts. */
  readonly persistence?: PersistenceArgs;
  /**
   * Number of the generated password. Increase it by one to generate a new password; the previous one stays valid until `retire`.
   * @default 1
   */
  readonly generation?: number;
  /**
   * Generated passwords up to this number are no longer valid. Set it to the previous number when the new password is in use everywhere.
   * @default 0
   */
  readonly retire?: number;
  /**
   * Namespaces whose pods may read Redis' metrics, on port 9121 of an exporter that is created if there are any; `*` means every namespace.
   * @default none
   */
  readonly monitors?: readonly Input<string>[];
  /** TLS between the servers and the embedded Redis. */
  readonly tls?: EmbeddedRedisTlsArgs;
}

/** The volume that keeps the cache across restarts. */
export interface PersistenceArgs {
  /** Keeps the cache on a volume across restarts; otherwise every image is analysed again after a restart. @default true */
  readonly enabled?: boolean;
  /**
   * Size of the volume claim. The append-only file can grow to three times the data while it is rewritten.
   * @default four times maxMemory
   */
  readonly size?: Input<string>;
  /** StorageClass of the claim. @default the cluster's default */
  readonly storageClass?: Input<string>;
}

/** TLS between the servers and the embedded Redis. */
export interface EmbeddedRedisTlsArgs {
  /** Uses mutual TLS, with generated certificates. @default false */
  readonly enabled?: boolean;
}

/** A Redis that exists already, at one address that accepts writes. */
export interface ExternalRedisArgs {
  /** A Redis that exists already. */
  readonly mode: "external";
  /** How long the analysis of an image stays in the cache, counted from the analysis; reading does not renew it. @default 168h */
  readonly ttl?: Input<string>;
  /** DNS name or IP address that accepts writes. Trivy supports neither Sentinel nor Redis Cluster. */
  readonly host: Input<string>;
  /** Port. @default 6379 */
  readonly port?: Input<number>;
  /** Number of the database. @default 0 */
  readonly database?: Input<number>;
  /** ACL user; needs GET, SET, DEL and PING on `fanal::*`. @default Redis' default user */
  readonly user?: Input<string>;
  /** Password, as a secret. @default none */
  readonly password?: Input<string>;
  /** An existing Secret that holds the password, which must consist of letters and digits, instead of `password`. @default none */
  readonly existingSecret?: PasswordSecretRef;
  /** TLS between the servers and the external Redis. */
  readonly tls?: RedisTlsArgs;
  /**
   * CIDR blocks of the host's addresses, which narrow the network policy; otherwise a public DNS name allows every address.
   * @default none
   */
  readonly cidrs?: readonly Input<string>[];
}

/** A value in an existing Secret. */
export interface PasswordSecretRef {
  /** Name of the Secret, in the service's namespace. */
  readonly name: Input<string>;
  /** Key in the Secret. @default password */
  readonly key?: Input<string>;
}

/** TLS between the servers and the external Redis. */
export interface RedisTlsArgs {
  /** Uses TLS. @default false */
  readonly enabled?: boolean;
  /** Certificate authorities of a private CA, PEM. @default the system's */
  readonly caCertificates?: Input<string>;
  /** Certificate for mutual TLS, PEM; needs `caCertificates` and `clientKey`, because Trivy takes all three or none. @default none */
  readonly clientCertificate?: Input<string>;
  /** The private key of `clientCertificate`, PEM, as a secret. @default none */
  readonly clientKey?: Input<string>;
  /** Name of an existing Secret with `ca.crt`, `tls.crt` and `tls.key`, such as cert-manager's, instead of the three. @default none */
  readonly existingSecret?: Input<string>;
}

/** Which clients may connect to the service, as the network policies enforce it. */
export interface AccessArgs {
  /** Namespaces whose pods may connect; `*` means every namespace. Without any, only `kubectl port-forward` works. @default none */
  readonly namespaces?: readonly Input<string>[];
  /** CIDR blocks that may connect: load balancers, nodes, machines outside the cluster. @default none */
  readonly cidrs?: readonly Input<string>[];
}

/** How clients outside the cluster reach the service. */
export type ExposureSettings = NoExposureArgs | LoadBalancerArgs | IngressArgs | GatewayApiArgs;

/** No access from outside the cluster. */
export interface NoExposureArgs {
  /** The service can only be reached in the cluster. @default none */
  readonly type?: "none";
}

/** A LoadBalancer Service, in addition to the one in the cluster. */
export interface LoadBalancerArgs {
  /** A second Service, of type LoadBalancer. */
  readonly type: "loadBalancer";
  /** Load balancer class. @default the cluster's default */
  readonly class?: Input<string>;
  /** Annotations of the LoadBalancer Service: address, health checks, TLS at the balancer. @default none */
  readonly annotations?: Readonly<Record<string, Input<string>>>;
  /** Serves clients with public addresses over plain HTTP, for a load balancer that terminates TLS itself. @default false */
  readonly plainHttp?: boolean;
}

/** An Ingress. Its controller must allow bodies of several megabytes (the analysis of a layer) and requests of five minutes. */
export interface IngressArgs {
  /** An Ingress. */
  readonly type: "ingress";
  /** DNS name of the service. */
  readonly host: Input<string>;
  /** Ingress class. @default the cluster's default */
  readonly class?: Input<string>;
  /** Name of an existing Secret of type kubernetes.io/tls. @default the controller's own certificate */
  readonly tlsSecret?: Input<string>;
  /** Annotations of the Ingress: body size, time-outs, TLS. @default none */
  readonly annotations?: Readonly<Record<string, Input<string>>>;
  /**
   * Annotations of the Service in the cluster: health checks and network endpoint groups, which the controllers of some clouds read there.
   * @default none
   */
  readonly serviceAnnotations?: Readonly<Record<string, Input<string>>>;
}

/** An HTTPRoute of the Gateway API, on a Gateway that exists already. */
export interface GatewayApiArgs {
  /** An HTTPRoute of the Gateway API. */
  readonly type: "gatewayApi";
  /** DNS name of the service. */
  readonly host: Input<string>;
  /** The existing Gateway that the route attaches to, which has the certificate. */
  readonly gateway: GatewayReference;
  /** Annotations of the HTTPRoute: time-outs, policies. @default none */
  readonly annotations?: Readonly<Record<string, Input<string>>>;
  /**
   * Annotations of the Service in the cluster: health checks and network endpoint groups, which the controllers of some clouds read there.
   * @default none
   */
  readonly serviceAnnotations?: Readonly<Record<string, Input<string>>>;
}

/** The existing Gateway that the route attaches to, which has the certificate. */
export interface GatewayReference {
  /** Name of the Gateway. */
  readonly name: Input<string>;
  /** Namespace of the Gateway. @default the service's */
  readonly namespace?: Input<string>;
  /** Name of one of its listeners. @default all listeners */
  readonly section?: Input<string>;
}

/** Scheduled scans of images in registries, with reports and alerts for new findings. */
export interface RegistryScanArgs {
  /** Scans images of registries on a schedule, through the service. @default false */
  readonly enabled?: boolean;
  /** When to scan: minute, hour, day of the month, month, day of the week; or a macro such as @daily. @default 0 3 * * * */
  readonly schedule?: Input<string>;
  /** Time zone of `schedule`. @default Etc/UTC */
  readonly timeZone?: Input<string>;
  /** Images and repositories to scan. An image with several tags is scanned once. @default none */
  readonly targets?: readonly TargetArgs[];
  /** Path of a YAML file in the project's folder with the list of targets, in place of `targets`. @default none */
  readonly targetsFile?: string;
  /** Treats a glob or version range that matches no tag as an error of the run, not as a warning in its report. @default false */
  readonly strict?: Input<boolean>;
  /**
   * Platforms of which images are scanned, each with a result of its own, such as linux/arm64, or all. With it, Docker Hub counts a pull
   * for each tag.
   * @default one: linux/amd64 if there is an image for it
   */
  readonly platforms?: readonly Input<string>[];
  /** Severities of the findings that are reported. @default UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL */
  readonly severities?: readonly Input<"UNKNOWN" | "LOW" | "MEDIUM" | "HIGH" | "CRITICAL">[];
  /** Leaves out vulnerabilities without a fix. @default false */
  readonly ignoreUnfixed?: Input<boolean>;
  /** Kinds of findings to look for. @default vuln */
  readonly scanners?: readonly Input<"vuln" | "secret" | "misconfig" | "license">[];
  /**
   * A .trivyignore.yaml with findings to leave out, with reasons and expiry dates: its content, or its path in the project's folder.
   * @default none
   */
  readonly ignoreFile?: Input<string>;
  /** VEX documents (OpenVEX, CycloneDX or CSAF), each the text of a JSON file or its path in the project's folder. @default none */
  readonly vex?: readonly Input<string>[];
  /** Logins for registries, at most one for each. @default none */
  readonly credentials?: readonly LoginArgs[];
  /** Name of an existing Secret of type kubernetes.io/dockerconfigjson with the logins, instead of `credentials`. @default none */
  readonly existingSecret?: Input<string>;
  /** Tries plain HTTP when HTTPS fails, and verifies the certificate of no registry; prefer `caCertificates`. @default false */
  readonly plainHttp?: Input<boolean>;
  /** Certificate authorities, PEM, to trust in addition to the system's: for registries, proxies and receivers. @default none */
  readonly caCertificates?: Input<string>;
  /** CIDR blocks that the pods may reach on any port, in addition to the hosts of registries and receivers. @default none */
  readonly cidrs?: readonly Input<string>[];
  /**
   * OCI repositories of Trivy's Java database (trivy-java-db), which identifies Java archives.
   * @default the one of database.mirror if it has one, otherwise Trivy's
   */
  readonly javaRepositories?: readonly Input<string>[];
  /** Number of images that are scanned at a time, each by its own pod. @default 4 */
  readonly parallelism?: Input<number>;
  /** Maximum duration of the scan of one image. @default 10m */
  readonly timeout?: Input<string>;
  /** Maximum duration of a run; images that are not finished by then are reported as missing. @default 6h */
  readonly deadline?: Input<string>;
  /** Size limit of each scanning pod's volume, on which layers are unpacked. @default 4Gi */
  readonly workVolume?: Input<string>;
  /**
   * CPU and memory of the client in each scanning pod, which analyses large layers in memory.
   * @default { requests: { cpu: "200m", memory: "256Mi" }, limits: { memory: "2Gi" } }
   */
  readonly resources?: Resources;
  /** The reports of the runs, and the server that keeps them. */
  readonly reports?: ReportsArgs;
  /** Receivers that are notified of new and fixed findings after each run. @default none */
  readonly alerts?: readonly ReceiverArgs[];
  /** Number of the generated token. Increase it by one to generate a new token; the previous one stays valid until `retire`. @default 1 */
  readonly generation?: number;
  /**
   * Generated tokens up to this number are no longer valid. Set it to the previous number when the new token is in use everywhere.
   * @default 0
   */
  readonly retire?: number;
}

/** What to scan: an image or a repository. */
export type TargetArgs = ImageTargetArgs | RepositoryTargetArgs;

/** One image to scan. */
export interface ImageTargetArgs {
  /** An image, with its tag or digest. */
  readonly image: Input<string>;
}

/** A repository, of which some or all tags are scanned. */
export interface RepositoryTargetArgs {
  /** A repository, whose tags are listed at the start of each run. */
  readonly repository: Input<string>;
  /** Tags and globs, such as `release-*`; tags that match one of them are scanned. @default all tags */
  readonly tags?: readonly Input<string>[];
  /**
   * Range of semantic versions, such as `>=1.4 <3`; tags outside the range, or that are not versions, are left out.
   * @default any version
   */
  readonly versions?: Input<string>;
  /** Tags and globs, such as `*-cache`; tags that match one of them are left out. @default none */
  readonly exclude?: readonly Input<string>[];
  /** Maximum number of tags: the newest by `order`. @default no limit */
  readonly newest?: Input<number>;
  /**
   * Which tags are the newest: `built`, those of the images that were built last; `name`, the last names, as in `nightly-2026-11-27`;
   * `automatic`, the highest versions if all tags are semantic versions, otherwise as `built`.
   * @default automatic
   */
  readonly order?: Input<"automatic" | "built" | "name">;
}

/** The reports of the runs, and the server that keeps them. */
export interface ReportsArgs {
  /** Number of runs whose reports are kept. @default 30 */
  readonly keep?: Input<number>;
  /** Size of the volume claim for the reports. @default 2Gi */
  readonly size?: Input<string>;
  /** StorageClass of the claim. @default the cluster's default */
  readonly storageClass?: Input<string>;
  /** Also writes a CycloneDX document for each image: a list of its components. @default false */
  readonly cycloneDx?: Input<boolean>;
  /** URL under which users open the reports, for links in alerts. @default no links */
  readonly url?: Input<string>;
  /**
   * Namespaces whose pods may read the reports; `*` means every namespace. Without any, only `kubectl port-forward` works.
   * @default none
   */
  readonly viewers?: readonly Input<string>[];
  /** Namespaces whose pods may read the metrics, on port 8083; `*` means every namespace. @default none */
  readonly monitors?: readonly Input<string>[];
  /** Whether each image has metrics of its own, up to 2,000 images; otherwise each repository has. @default false */
  readonly imageMetrics?: Input<boolean>;
  /** An S3-compatible bucket that receives a copy of all reports. @default none */
  readonly bucket?: BucketArgs;
  /**
   * CPU and memory of the reports server. 10,000 images need about half of the memory limit.
   * @default { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "1Gi" } }
   */
  readonly resources?: Resources;
}

/** An S3-compatible bucket that receives a copy of all reports. */
export interface BucketArgs {
  /** URL of the service. @default Amazon's, of the region */
  readonly endpoint?: Input<string>;
  /** Region. @default us-east-1 */
  readonly region?: Input<string>;
  /** Name of the bucket. */
  readonly name: Input<string>;
  /** Prefix of the objects' names. @default none */
  readonly prefix?: Input<string>;
  /** Name of an existing Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if needed, AWS_SESSION_TOKEN. */
  readonly existingSecret: Input<string>;
}

/** A receiver of alerts. */
export interface ReceiverArgs {
  /** Name of the receiver in logs and metrics. */
  readonly name: string;
  /**
   * `alertmanager`: an alert for each image, package and severity. `slack`: messages in Slack's format. `json`: the complete findings, for
   * programs. `defectdojo`: all findings of each full run, imported into DefectDojo.
   */
  readonly type: "alertmanager" | "slack" | "json" | "defectdojo";
  /** URL to send to, as a secret: the root of an Alertmanager or of DefectDojo, or the complete URL of a webhook. @default none */
  readonly url?: Input<string>;
  /** An existing Secret that holds the URL, instead of `url`. @default none */
  readonly existingSecret?: UrlSecretRef;
  /** Value of the Authorization header, as a secret; for DefectDojo `Token` and an API key. @default none */
  readonly authorization?: Input<string>;
  /** Where in DefectDojo findings are imported, for a receiver of that type. @default none */
  readonly defectDojo?: DefectDojoArgs;
}

/** A value in an existing Secret. */
export interface UrlSecretRef {
  /** Name of the Secret, in the service's namespace. */
  readonly name: Input<string>;
  /** Key in the Secret. @default url */
  readonly key?: Input<string>;
}

/**  */
export interface DefectDojoArgs {
  /** Name of the product that the findings belong to. */
  readonly product: string;
  /** Type of the product, with which it is created. @default the product must exist */
  readonly productType?: string;
  /** Name of the engagement, which is created. @default Registry scan */
  readonly engagement?: string;
}

/** Metrics, alerts and dashboards for Prometheus and Grafana. */
export interface MonitoringArgs {
  /**
   * Creates an exporter of the servers' metrics, a synthetic scan, alerting rules and dashboards, and lets Prometheus find all metrics.
   * @default false
   */
  readonly enabled?: boolean;
  /** Prometheus' namespaces, whose pods may read the metrics of every part; `*` means every namespace. @default none */
  readonly namespaces?: readonly Input<string>[];
  /**
   * How Prometheus finds the pods and the rules: by PodMonitors and a PrometheusRule of the Prometheus operator, or by the annotations
   * `prometheus.io/scrape`, `port` and `path` of pods and a ConfigMap with the rules.
   * @default podMonitors
   */
  readonly discovery?: "podMonitors" | "annotations";
  /**
   * Labels of the PodMonitors and of the rules, by which your Prometheus selects them, such as `release: kube-prometheus-stack`.
   * @default none
   */
  readonly labels?: Readonly<Record<string, Input<string>>>;
  /**
   * URL of docs/guides/alerts.md in your copy of this project, for the annotation `runbook_url` of the alerts.
   * @default the annotation runbook with the path of that page
   */
  readonly runbook?: Input<string>;
  /** Dashboards for Grafana. */
  readonly dashboards?: DashboardsArgs;
  /** A synthetic scan, the only check of the whole path: Service, token, gateway, server, cache and database. */
  readonly probe?: ProbeArgs;
}

/** Dashboards for Grafana. */
export interface DashboardsArgs {
  /** Creates a ConfigMap for each dashboard, which Grafana's sidecar loads. @default true */
  readonly enabled?: boolean;
  /** Labels of the dashboards' ConfigMaps, by which Grafana's sidecar finds them. @default grafana_dashboard: "1" */
  readonly labels?: Readonly<Record<string, Input<string>>>;
  /** Annotations of the dashboards' ConfigMaps, such as the one that names Grafana's folder. @default none */
  readonly annotations?: Readonly<Record<string, Input<string>>>;
}

/** A synthetic scan, the only check of the whole path: Service, token, gateway, server, cache and database. */
export interface ProbeArgs {
  /** Scans a known package through the service on a schedule, as a client would. @default true */
  readonly enabled?: boolean;
  /** When to scan: minute, hour, day of the month, month, day of the week; or a macro such as @hourly. @default *\/5 * * * * */
  readonly schedule?: Input<string>;
  /** Number of the generated token. Increase it by one to generate a new token; the previous one stays valid until `retire`. @default 1 */
  readonly generation?: number;
  /**
   * Generated tokens up to this number are no longer valid. Set it to the previous number when the new token is in use everywhere.
   * @default 0
   */
  readonly retire?: number;
}

/** Which nodes the pods run on. */
export interface SchedulingArgs {
  /** Labels that a node must have. @default none */
  readonly nodeSelector?: Readonly<Record<string, Input<string>>>;
  /** Taints that the pods tolerate. @default none */
  readonly tolerations?: readonly TolerationArgs[];
  /** Name of an existing PriorityClass. @default the cluster's default */
  readonly priorityClassName?: Input<string>;
}

/** A taint that the pods tolerate. */
export interface TolerationArgs {
  /** Key of the taint. @default every taint */
  readonly key?: Input<string>;
  /** Whether the taint must exist, or also have `value`. @default Equal */
  readonly operator?: Input<"Exists" | "Equal">;
  /** Value of the taint. @default none */
  readonly value?: Input<string>;
  /** Effect of the taint. @default every effect */
  readonly effect?: Input<"NoSchedule" | "PreferNoSchedule" | "NoExecute">;
}

/** What all pods have in common. */
export interface PodsArgs {
  /**
   * Whether pods name their user and group IDs, above 10000, or leave them to the platform: `assigned` is for OpenShift and others that
   * assign IDs and refuse those of pods. Pods never run as root.
   * @default fixed
   */
  readonly userIds?: "fixed" | "assigned";
  /**
   * CPU limit of every container that has none of its own, or the container's request if that is higher: for a namespace whose
   * ResourceQuota has `limits.cpu`.
   * @default no limit
   */
  readonly cpuLimit?: Input<string>;
}

/** The certificate authorities that the stack generates: of the gateway, Redis, the reports server and the database mirror. */
export interface AuthoritiesArgs {
  /**
   * Number of the generated authority. Increase it by one to generate a new authority; the previous one stays valid until `retire`.
   * @default 1
   */
  readonly generation?: number;
  /**
   * Generated authoritys up to this number are no longer valid. Set it to the previous number when the new authority is in use everywhere.
   * @default 0
   */
  readonly retire?: number;
}

/** What holds for settings that are not given. */
export const defaults = {
  namespace: {
    name: "trivy",
    create: true,
  },
  images: {
    pullSecrets: [],
  },
  server: {
    replicas: 2,
    token: {
      enabled: true,
      generation: 1,
    },
    resources: {
      requests: {
        cpu: "200m",
        memory: "512Mi",
      },
      limits: {
        memory: "2Gi",
      },
    },
    databaseVolume: "2Gi",
    drainSeconds: 15,
    debug: false,
    env: {},
    envFromSecrets: [],
  },
  gateway: {
    enabled: false,
    replicas: 2,
    clients: [
      {
        name: "default",
        generation: 1,
        retire: 0,
      },
    ],
    requestsPerServer: 16,
    maxRequestSize: "64Mi",
    tls: {
      enabled: false,
      names: [],
      plainHttp: false,
    },
    preferSameZone: true,
    resources: {
      requests: {
        cpu: "100m",
        memory: "64Mi",
      },
      limits: {
        memory: "1Gi",
      },
    },
    edge: {
      connectionsPerAddress: 1000,
      resources: {
        requests: {
          cpu: "50m",
          memory: "32Mi",
        },
        limits: {
          memory: "512Mi",
        },
      },
    },
    monitors: [],
  },
  domains: [],
  database: {
    repositories: ["mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2", "public.ecr.aws/aquasecurity/trivy-db:2"],
    mirror: {
      enabled: false,
      fallback: true,
      offline: false,
      interval: "1h",
      keep: 3,
      java: {
        enabled: false,
        repositories: ["mirror.gcr.io/aquasec/trivy-java-db:1", "ghcr.io/aquasecurity/trivy-java-db:1"],
      },
      workVolume: "4Gi",
      credentials: [],
      monitors: [],
      resources: {
        requests: {
          cpu: "50m",
          memory: "128Mi",
        },
        limits: {
          memory: "1Gi",
        },
      },
    },
    plainHttp: false,
    credentials: [],
    cidrs: [],
  },
  proxy: {
    noProxy: [],
  },
  egress: [],
  dns: {
    namespaces: [],
    cidrs: [],
    ports: [],
  },
  redis: {
    mode: "embedded",
    ttl: "168h",
    maxMemory: "512Mi",
    cpu: "100m",
    persistence: {
      enabled: true,
    },
    generation: 1,
    retire: 0,
    monitors: [],
    tls: {
      enabled: false,
    },
  },
  access: {
    namespaces: [],
    cidrs: [],
  },
  exposure: {
    type: "none",
  },
  registryScan: {
    enabled: false,
    schedule: "0 3 * * *",
    timeZone: "Etc/UTC",
    targets: [],
    strict: false,
    severities: ["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"],
    ignoreUnfixed: false,
    scanners: ["vuln"],
    vex: [],
    credentials: [],
    plainHttp: false,
    cidrs: [],
    parallelism: 4,
    timeout: "10m",
    deadline: "6h",
    workVolume: "4Gi",
    resources: {
      requests: {
        cpu: "200m",
        memory: "256Mi",
      },
      limits: {
        memory: "2Gi",
      },
    },
    reports: {
      keep: 30,
      size: "2Gi",
      cycloneDx: false,
      viewers: [],
      monitors: [],
      imageMetrics: false,
      resources: {
        requests: {
          cpu: "50m",
          memory: "128Mi",
        },
        limits: {
          memory: "1Gi",
        },
      },
    },
    alerts: [],
    generation: 1,
    retire: 0,
  },
  monitoring: {
    enabled: false,
    namespaces: [],
    discovery: "podMonitors",
    labels: {},
    dashboards: {
      enabled: true,
      annotations: {},
    },
    probe: {
      enabled: true,
      schedule: "*/5 * * * *",
      generation: 1,
      retire: 0,
    },
  },
  scheduling: {
    nodeSelector: {},
    tolerations: [],
  },
  pods: {
    userIds: "fixed",
  },
  protect: true,
  authorities: {
    generation: 1,
    retire: 0,
  },
  clusterDomain: "cluster.local",
  labels: {},
  podAnnotations: {},
} as const;

/**
 * What holds for settings that are not given in blocks that are themselves optional: items of lists, variants, blocks without a default.
 */
export const blockDefaults = {
  AutoscalingArgs: {
    minReplicas: 2,
    targetCpuUtilization: 70,
  },
  TokenSecretRef: {
    key: "token",
  },
  ClientArgs: {
    generation: 1,
    retire: 0,
  },
  DomainArgs: {
    replicas: 2,
  },
  EgressArgs: {
    namespaces: [],
    podLabels: {},
    cidrs: [],
    ports: [],
  },
  EmbeddedRedisArgs: {
    mode: "embedded",
    ttl: "168h",
    maxMemory: "512Mi",
    cpu: "100m",
    persistence: {
      enabled: true,
    },
    generation: 1,
    retire: 0,
    monitors: [],
    tls: {
      enabled: false,
    },
  },
  ExternalRedisArgs: {
    ttl: "168h",
    port: 6379,
    database: 0,
    tls: {
      enabled: false,
    },
    cidrs: [],
  },
  PasswordSecretRef: {
    key: "password",
  },
  NoExposureArgs: {
    type: "none",
  },
  LoadBalancerArgs: {
    annotations: {},
    plainHttp: false,
  },
  IngressArgs: {
    annotations: {},
    serviceAnnotations: {},
  },
  GatewayApiArgs: {
    annotations: {},
    serviceAnnotations: {},
  },
  BucketArgs: {
    region: "us-east-1",
    prefix: "",
  },
  UrlSecretRef: {
    key: "url",
  },
  DefectDojoArgs: {
    engagement: "Registry scan",
  },
  TolerationArgs: {
    operator: "Equal",
  },
} as const;

/** Paths of the settings that are secrets; a path leads through lists to each of their items. */
export const secretPaths = [
  "server.token.value",
  "gateway.clients.token",
  "gateway.clients.previousToken",
  "gateway.tls.key",
  "database.mirror.credentials.password",
  "database.credentials.password",
  "redis.password",
  "redis.tls.clientKey",
  "registryScan.credentials.password",
  "registryScan.alerts.url",
  "registryScan.alerts.authorization",
] as const;
