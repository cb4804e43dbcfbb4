import * as common from "@grafana/grafana-foundation-sdk/common";
import { DashboardBuilder, DatasourceVariableBuilder, QueryVariableBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TimeseriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";

/** A query and the legend of its series. */
export type Query = readonly [expr: string, legend: string];

interface PanelOptions {
  readonly unit?: string;
  readonly description?: string;
  /** Columns of 24. @default 8 */
  readonly width?: number;
  readonly min?: number;
  readonly max?: number;
}

const datasource = { type: "prometheus", uid: "$datasource" } as const;

/** The metrics of the chosen stack: every selector of a dashboard begins with this. */
export const own = 'namespace="$namespace"';

/** Returns a dashboard with a choice of the data source and of the stack, by its namespace. */
export const dashboard = (title: string, uid: string, metric: string): DashboardBuilder =>
  new DashboardBuilder(title)
    .uid(uid)
    .tags(["trivy-server"])
    .time({ from: "now-6h", to: "now" })
    .refresh("1m")
    .timezone("browser")
    .editable()
    .tooltip(1)
    .withVariable(new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"))
    .withVariable(
      new QueryVariableBuilder("namespace")
        .label("Namespace")
        .datasource(datasource)
        .query(`label_values(${metric}, namespace)`)
        .refresh(2)
        .sort(1),
    );

export function series(title: string, queries: readonly Query[], options: PanelOptions = {}): TimeseriesBuilder {
  const { unit = "short", description = "", width = 8, min, max } = options;
  const panel = new TimeseriesBuilder()
    .title(title)
    .description(description)
    .datasource(datasource)
    .unit(unit)
    .height(8)
    .span(width)
    .fillOpacity(8)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true),
    );
  if (min !== undefined) panel.min(min);
  if (max !== undefined) panel.max(max);
  for (const [expr, legend] of queries) panel.withTarget(new DataqueryBuilder().expr(expr).legendFormat(legend));
  return panel;
}

export function stat(
  title: string,
  [expr, legend]: Query,
  { unit = "short", description = "", width = 4 }: PanelOptions = {},
): StatBuilder {
  return new StatBuilder()
    .title(title)
    .description(description)
    .datasource(datasource)
    .unit(unit)
    .height(4)
    .span(width)
    .graphMode(common.BigValueGraphMode.None)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]))
    .withTarget(new DataqueryBuilder().expr(expr).legendFormat(legend).instant());
}

export function table(title: string, expr: string, { description = "", width = 12 }: PanelOptions = {}): TableBuilder {
  return new TableBuilder()
    .title(title)
    .description(description)
    .datasource(datasource)
    .height(10)
    .span(width)
    .withTarget(new DataqueryBuilder().expr(expr).instant().format(PromQueryFormat.Table));
}
