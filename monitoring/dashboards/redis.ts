import { type DashboardBuilder, RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { dashboard, own, series, stat } from "./parts.ts";

const rate = "$__rate_interval";
const redis = `{${own}}`;

/** The layer cache. */
export const redisDashboard = (): DashboardBuilder =>
  dashboard("Trivy / Redis", "trivy-server-redis", "redis_up")
    .withRow(new RowBuilder("Now"))
    .withPanel(stat("Redis answers", [`redis_up${redis}`, ""]))
    .withPanel(stat("Memory in use", [`redis_memory_used_bytes${redis} / redis_memory_max_bytes${redis}`, ""], { unit: "percentunit" }))
    .withPanel(stat("Entries", [`sum(redis_db_keys${redis})`, ""]))
    .withPanel(
      stat("Entries evicted in an hour", [`increase(redis_evicted_keys_total${redis}[1h])`, ""], {
        description: "Above 1 % of the entries, TrivyCacheEvicts fires.",
      }),
    )
    .withPanel(
      stat(
        "Reads that hit in an hour",
        [
          `increase(redis_keyspace_hits_total${redis}[1h]) / (increase(redis_keyspace_hits_total${redis}[1h]) + increase(redis_keyspace_misses_total${redis}[1h]))`,
          "",
        ],
        { unit: "percentunit" },
      ),
    )
    .withPanel(stat("Uptime", [`redis_uptime_in_seconds${redis}`, ""], { unit: "s" }))
    .withRow(new RowBuilder("Content"))
    .withPanel(
      series(
        "Memory",
        [
          [`redis_memory_used_bytes${redis}`, "used"],
          [`redis_memory_max_bytes${redis}`, "redis.maxMemory"],
          [`redis_memory_used_rss_bytes${redis}`, "resident"],
        ],
        { unit: "bytes", min: 0 },
      ),
    )
    .withPanel(series("Entries", [[`sum(redis_db_keys${redis})`, "entries"]], { min: 0 }))
    .withPanel(
      series(
        "Entries removed",
        [
          [`rate(redis_evicted_keys_total${redis}[${rate}])`, "evicted"],
          [`rate(redis_expired_keys_total${redis}[${rate}])`, "expired"],
        ],
        { unit: "ops", min: 0, description: "Expired entries are older than redis.ttl, as intended. Evicted ones lacked memory." },
      ),
    )
    .withRow(new RowBuilder("Use"))
    .withPanel(
      series(
        "Reads",
        [
          [`rate(redis_keyspace_hits_total${redis}[${rate}])`, "hits"],
          [`rate(redis_keyspace_misses_total${redis}[${rate}])`, "misses"],
        ],
        { unit: "ops", min: 0 },
      ),
    )
    .withPanel(series("Commands", [[`sum(rate(redis_commands_processed_total${redis}[${rate}]))`, "commands"]], { unit: "ops", min: 0 }))
    .withPanel(
      series(
        "Connections",
        [
          [`redis_connected_clients${redis}`, "connected"],
          [`redis_blocked_clients${redis}`, "blocked"],
        ],
        { min: 0 },
      ),
    )
    .withRow(new RowBuilder("Persistence"))
    .withPanel(
      series(
        "Append-only file",
        [
          [`redis_aof_current_size_bytes${redis}`, "size"],
          [`redis_aof_base_size_bytes${redis}`, "after the last rewrite"],
        ],
        { unit: "bytes", min: 0, width: 12 },
      ),
    )
    .withPanel(
      series(
        "Last write and rewrite succeeded",
        [
          [`redis_aof_last_write_status${redis}`, "write"],
          [`redis_aof_last_bgrewrite_status${redis}`, "rewrite"],
        ],
        { min: 0, max: 1, width: 12 },
      ),
    );
