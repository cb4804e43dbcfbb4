// The rules and dashboards for all stacks as a mixin: github.com/monitoring-mixins/docs
{
  prometheusAlerts+:: std.parseYaml(importstr 'alerts.yaml'),
  prometheusRules+:: std.parseYaml(importstr 'rules.yaml'),
  grafanaDashboards+:: {
    'trivy.json': import 'dashboards/trivy.json',
    'trivy-redis.json': import 'dashboards/trivy-redis.json',
    'trivy-registry-scan.json': import 'dashboards/trivy-registry-scan.json',
  },
}
