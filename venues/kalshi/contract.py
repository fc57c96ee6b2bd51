"""What of Kalshi's REST contract we use: every operation, what we ask, send and read of it, as of version 3.34.0.

Codec, requests and this change together: a test compares them.
"""

from __future__ import annotations

from venues.contracts import Operation, under

ORDER = (
    "order_id string!",
    "client_order_id string!",
    "ticker string!",
    "status string! resting|canceled|executed",
    "fill_count_fp string!",
    "initial_count_fp string!",
)

FILL = (
    "trade_id string!",
    "fill_id string!",
    "order_id string!",
    "ticker string!",
    "market_ticker string!",
    "yes_price_dollars string!",
    "count_fp string!",
    "is_taker boolean!",
    "fee_cost string!",
    "created_time string",
    "ts integer",
)

CREATE = (
    "ticker string!",
    "client_order_id string",
    "side string! bid|ask",
    "count string!",
    "price string!",
    "time_in_force string! fill_or_kill|good_till_canceled|immediate_or_cancel",
    "self_trade_prevention_type string! taker_at_cross|maker",
    "expiration_time integer",
    "cancel_order_on_pause boolean",
    "post_only boolean",
    "reduce_only boolean",
    "order_group_id string",
    "exchange_index integer",
    "subaccount integer",
)

SESSION = (
    "open_time string!",
    "close_time string!",
)

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

USES: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/exchange/status",
        "GetExchangeStatus",
        "200",
        reads=(
            "exchange_active boolean!",
            "trading_active boolean!",
            "exchange_estimated_resume_time string?",
            *under(
                "exchange_index_statuses[].",
                ("exchange_index integer!", "exchange_active boolean!", "trading_active boolean!"),
            ),
        ),
    ),
    Operation(
        "GET",
        "/exchange/schedule",
        "GetExchangeSchedule",
        "200",
        reads=(
            *under("schedule.standard_hours[].", ("start_time string!", "end_time string!")),
            *(line for day in DAYS for line in under(f"schedule.standard_hours[].{day}[].", SESSION)),
            *under("schedule.maintenance_windows[].", ("start_datetime string!", "end_datetime string!")),
        ),
    ),
    Operation(
        "GET",
        "/exchange/user_data_timestamp",
        "GetUserDataTimestamp",
        "200",
        reads=("as_of_time string!",),
    ),
    Operation(
        "GET",
        "/series/fee_changes",
        "GetSeriesFeeChanges",
        "200",
        query=("show_historical boolean",),
        reads=(
            *under(
                "series_fee_change_arr[].",
                (
                    "id string!",
                    "series_ticker string!",
                    "fee_type string! quadratic|quadratic_with_maker_fees|quadratic_with_combo_maker_fees|flat",
                    "fee_multiplier number!",
                    "scheduled_ts string!",
                ),
            ),
        ),
    ),
    Operation(
        "GET",
        "/events/fee_changes",
        "GetEventFeeChanges",
        "200",
        query=(
            "limit integer",
            "cursor string",
        ),
        reads=(
            "cursor string!",
            *under(
                "event_fee_changes[].",
                (
                    "id string!",
                    "event_ticker string!",
                    "fee_type_override string?! quadratic|quadratic_with_maker_fees|quadratic_with_combo_maker_fees|flat",
                    "fee_multiplier_override number?!",
                    "scheduled_ts string!",
                ),
            ),
        ),
    ),
    Operation(
        "GET",
        "/markets",
        "GetMarkets",
        "200",
        query=(
            "tickers string",
            "limit integer",
            "cursor string",
        ),
        reads=(
            "cursor string!",
            *under(
                "markets[].",
                (
                    "ticker string!",
                    "event_ticker string!",
                    "title string",
                    "yes_sub_title string!",
                    "status string! initialized|inactive|active|closed|determined|disputed|amended|finalized",
                    "close_time string!",
                    "can_close_early boolean!",
                    "settlement_timer_seconds integer!",
                    "result string! yes|no|scalar|",
                    "market_type string! binary|scalar",
                    "rules_primary string!",
                    "rules_secondary string!",
                    "price_level_structure string!",
                ),
            ),
            *under("markets[].price_ranges[].", ("start string!", "end string!", "step string!")),
            *under(
                "markets[].",
                (
                    "settlement_bounds_type string! default|floor",
                    "settlement_floor_dollars string?",
                    "exchange_index integer",
                ),
            ),
        ),
    ),
    Operation(
        "GET",
        "/markets/{ticker}/orderbook",
        "GetMarketOrderbook",
        "200",
        query=("depth integer",),
        reads=(*under("orderbook_fp.", ("yes_dollars[] array!", "no_dollars[] array!")),),
    ),
    Operation(
        "GET",
        "/events/{event_ticker}",
        "GetEvent",
        "200",
        reads=(
            *under(
                "event.",
                (
                    "event_ticker string!",
                    "series_ticker string!",
                    "title string!",
                    "category string",
                    "mutually_exclusive boolean!",
                    "collateral_return_type string!",
                    "fee_type_override string?",
                    "fee_multiplier_override number?",
                    "exchange_index integer",
                ),
            ),
        ),
    ),
    Operation(
        "GET",
        "/series/{series_ticker}",
        "GetSeries",
        "200",
        reads=(
            *under(
                "series.",
                (
                    "ticker string!",
                    "category string!",
                    "fee_type string! quadratic|quadratic_with_maker_fees|quadratic_with_combo_maker_fees|flat",
                    "fee_multiplier number!",
                    "exchange_index integer",
                ),
            ),
        ),
    ),
    Operation(
        "POST",
        "/portfolio/events/orders",
        "CreateOrderV2",
        "201",
        sends=(*CREATE,),
        reads=(
            "order_id string!",
            "client_order_id string",
            "fill_count string!",
            "remaining_count string!",
        ),
    ),
    Operation(
        "POST",
        "/portfolio/events/orders/batched",
        "BatchCreateOrdersV2",
        "201",
        sends=(*under("orders[].", CREATE),),
        reads=(
            *under(
                "orders[].",
                ("order_id string", "client_order_id string?", "fill_count string?", "remaining_count string?"),
            ),
            *under("orders[].error.", ("code string", "message string", "details string")),
        ),
    ),
    Operation(
        "DELETE",
        "/portfolio/events/orders/batched",
        "BatchCancelOrdersV2",
        "200",
        sends=(*under("orders[].", ("order_id string!", "market_ticker string", "subaccount integer")),),
        reads=(
            "orders[].order_id string!",
            "orders[].error.code string",
        ),
    ),
    Operation(
        "DELETE",
        "/portfolio/events/orders/{order_id}",
        "CancelOrderV2",
        "200",
        query=(
            "market_ticker string",
            "subaccount integer",
        ),
    ),
    Operation(
        "DELETE",
        "/portfolio/events/orders",
        "CancelAllOrders",
        "204",
        query=("subaccount integer",),
    ),
    Operation(
        "POST",
        "/portfolio/events/orders/{order_id}/amend",
        "AmendOrderV2",
        "200",
        query=("subaccount integer",),
        sends=(
            "ticker string!",
            "side string! bid|ask",
            "price string!",
            "count string!",
            "client_order_id string",
        ),
    ),
    Operation(
        "POST",
        "/portfolio/events/orders/{order_id}/decrease",
        "DecreaseOrderV2",
        "200",
        query=("subaccount integer",),
        sends=(
            "reduce_to string?",
            "market_ticker string",
        ),
    ),
    Operation(
        "GET",
        "/portfolio/orders",
        "GetOrders",
        "200",
        query=(
            "ticker string",
            "min_ts integer",
            "status string",
            "limit integer",
            "cursor string",
            "subaccount integer",
        ),
        reads=(
            "cursor string!",
            *under("orders[].", ORDER),
        ),
    ),
    Operation(
        "GET",
        "/portfolio/orders/{order_id}",
        "GetOrder",
        "200",
        reads=(*under("order.", ORDER),),
    ),
    Operation(
        "GET",
        "/portfolio/orders/{order_id}/queue_position",
        "GetOrderQueuePosition",
        "200",
        reads=("queue_position_fp string!",),
    ),
    Operation(
        "GET",
        "/portfolio/fills",
        "GetFills",
        "200",
        query=(
            "ticker string",
            "order_id string",
            "min_ts integer",
            "limit integer",
            "cursor string",
            "subaccount integer",
        ),
        reads=(
            "cursor string!",
            *under("fills[].", FILL),
        ),
    ),
    Operation(
        "GET",
        "/portfolio/positions",
        "GetPositions",
        "200",
        query=(
            "count_filter string",
            "limit integer",
            "cursor string",
            "subaccount integer",
        ),
        reads=(
            "cursor string",
            *under("market_positions[].", ("ticker string!", "position_fp string!")),
        ),
    ),
    Operation(
        "GET",
        "/portfolio/balance",
        "GetBalance",
        "200",
        query=("subaccount integer",),
        reads=(
            "balance integer!",
            "balance_dollars string!",
            *under("balance_breakdown[].", ("exchange_index integer!", "balance string!")),
        ),
    ),
    Operation(
        "GET",
        "/portfolio/settlements",
        "GetSettlements",
        "200",
        query=(
            "min_ts integer",
            "limit integer",
            "cursor string",
            "subaccount integer",
        ),
        reads=(
            "cursor string",
            *under(
                "settlements[].",
                (
                    "ticker string!",
                    "market_result string! yes|no|scalar",
                    "yes_count_fp string!",
                    "no_count_fp string!",
                    "revenue integer!",
                    "settled_time string!",
                    "fee_cost string!",
                ),
            ),
        ),
    ),
    Operation(
        "POST",
        "/portfolio/order_groups/create",
        "CreateOrderGroup",
        "201",
        sends=(
            "contracts_limit_fp string?",
            "exchange_index integer",
            "subaccount integer",
        ),
        reads=("order_group_id string!",),
    ),
    Operation(
        "GET",
        "/portfolio/order_groups",
        "GetOrderGroups",
        "200",
        query=("subaccount integer",),
        reads=(
            *under(
                "order_groups[].",
                (
                    "id string!",
                    "contracts_limit_fp string",
                    "is_auto_cancel_enabled boolean!",
                    "exchange_index integer",
                ),
            ),
        ),
    ),
    Operation(
        "GET",
        "/portfolio/order_groups/{order_group_id}",
        "GetOrderGroup",
        "200",
        query=("subaccount integer",),
        reads=(
            "contracts_limit_fp string",
            "is_auto_cancel_enabled boolean!",
            "orders[] string!",
            "exchange_index integer",
        ),
    ),
    Operation(
        "PUT",
        "/portfolio/order_groups/{order_group_id}/reset",
        "ResetOrderGroup",
        "200",
        query=(
            "subaccount integer",
            "exchange_index integer",
        ),
    ),
    Operation(
        "PUT",
        "/portfolio/order_groups/{order_group_id}/trigger",
        "TriggerOrderGroup",
        "200",
        query=(
            "subaccount integer",
            "exchange_index integer",
        ),
    ),
    Operation(
        "PUT",
        "/portfolio/order_groups/{order_group_id}/limit",
        "UpdateOrderGroupLimit",
        "200",
        query=(
            "subaccount integer",
            "exchange_index integer",
        ),
        sends=("contracts_limit_fp string?",),
    ),
    Operation(
        "DELETE",
        "/portfolio/order_groups/{order_group_id}",
        "DeleteOrderGroup",
        "200",
        query=(
            "subaccount integer",
            "exchange_index integer",
        ),
    ),
    Operation(
        "GET",
        "/account/limits",
        "GetAccountApiLimits",
        "200",
        reads=(
            *under("read.", ("bucket_capacity integer!", "refill_rate integer!")),
            *under("write.", ("bucket_capacity integer!", "refill_rate integer!")),
        ),
    ),
    Operation(
        "POST",
        "/portfolio/intra_exchange_instance_transfer",
        "IntraExchangeInstanceTransfer",
        "200",
        sends=(
            "client_transfer_id string",
            "source string! event_contract|margined",
            "destination string! event_contract|margined",
            "amount integer!",
            "source_exchange_shard integer",
            "destination_exchange_shard integer",
        ),
    ),
    Operation(
        "GET",
        "/account/endpoint_costs",
        "GetAccountEndpointCosts",
        "200",
        reads=(
            "default_cost integer!",
            *under("endpoint_costs[].", ("method string!", "path string!", "cost integer!")),
        ),
    ),
    Operation(
        "GET",
        "/historical/cutoff",
        "GetHistoricalCutoff",
        "200",
        reads=(
            "orders_updated_ts string!",
            "trades_created_ts string!",
        ),
    ),
    Operation(
        "GET",
        "/historical/orders",
        "GetHistoricalOrders",
        "200",
        query=(
            "ticker string",
            "min_ts integer",
            "limit integer",
            "cursor string",
            "subaccount integer",
        ),
        reads=(
            "cursor string!",
            *under("orders[].", ORDER),
        ),
    ),
    Operation(
        "GET",
        "/historical/fills",
        "GetFillsHistorical",
        "200",
        query=(
            "ticker string",
            "min_ts integer",
            "limit integer",
            "cursor string",
            "subaccount integer",
        ),
        reads=(
            "cursor string!",
            *under("fills[].", FILL),
        ),
    ),
)
