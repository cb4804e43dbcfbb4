"""A vulnerability-scanning service with a gateway, for two teams, and a nightly scan of a registry."""

import pulumi
import pulumi_trivy_server as trivy

config = pulumi.Config()

service = trivy.ScanService(
    "trivy",
    gateway=trivy.GatewayArgs(
        enabled=True,
        clients=[
            trivy.ClientArgs(name="team-a"),
            trivy.ClientArgs(name="team-b", token=config.get_secret("teamBToken")),
        ],
    ),
    access=trivy.AccessArgs(namespaces=["ci"]),
    registry_scan=trivy.RegistryScanArgs(
        enabled=True,
        targets=[trivy.TargetArgs(repository="registry.example.com/team/app", newest=3)],
    ),
)

pulumi.export("address", service.address)
pulumi.export("tokens", service.tokens)
pulumi.export("reports", service.reports)
