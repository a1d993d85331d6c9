//! `tokenward limits`.

use tokenward_api::limits::LimitList;

use super::output::{self, Result, Table};
use super::{Global, client, client::Client};

/// Asks nobody's permission: a server tells its limits to everybody.
pub async fn run(global: &Global) -> Result {
    let client = Client::anonymous(global, client::base(global.url.as_deref(), None)?)?;
    let list = client.get::<LimitList>("/limits").await?;
    if global.json {
        return output::json(&list.raw);
    }
    let mut table = Table::new(&["NAME", "VALUE", "UNIT", "SET BY", "WHAT IT BOUNDS"]);
    for limit in &list.limits {
        let set_by = match (limit.setting, limit.value == limit.default) {
            (false, _) => "nobody",
            (true, true) => "default",
            // A default of zero is derived from the machine.
            (true, false) if limit.default == 0 => "machine or operator",
            (true, false) => "operator",
        };
        table.row([
            limit.name.to_string(),
            limit.value.to_string(),
            limit.unit.to_string(),
            set_by.to_owned(),
            limit.bounds.to_string(),
        ]);
    }
    table.print("No limits.")
}
