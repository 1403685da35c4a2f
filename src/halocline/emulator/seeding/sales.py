"""How a believable record of what is sold comes about: products, prices, campaigns, deals and their lines."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from halocline.emulator.seeding.block import DAY_S, Block, Columns, dates, scattered, stamps
from halocline.emulator.seeding.dice import joined, only_where, padded, rounded
from halocline.emulator.seeding.traits import picklist_of, sum_of_money, year_of
from halocline.emulator.stages import STAGES

_QUARTER_MONTHS = 3


def opportunity(block: Block) -> Columns:
    """Deals whose stage, probability, forecast category and dates agree; closed ones close before their last change."""
    dice = block.dice
    stage = dice.weighted({name: stage.weight for name, stage in STAGES.items()})
    closed = _by_stage(stage, {name: stage.closed for name, stage in STAGES.items()})
    probability = _by_stage(stage, {name: float(stage.probability) for name, stage in STAGES.items()})
    amount = dice.sometimes(sum_of_money(block, low=2.7, high=6.2), 0.93)
    close = pc.if_else(closed, block.modified, pc.add(block.until, pc.multiply(pc.subtract(dice.numbers(150), 20), DAY_S)))
    with_lines = _has_lines(block)
    return {
        "AccountId": block.optional_reference("Account", 0.97),
        "Name": joined(block.word("company_roots"), " - ", block.word("product_lines"), " ", block.word("products")),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.4),
        "StageName": stage,
        "Amount": amount,
        "Probability": probability,
        "ExpectedRevenue": rounded(pc.divide(pc.multiply(amount, probability), 100.0), 2),
        "TotalOpportunityQuantity": dice.sometimes(pc.cast(pc.add(dice.numbers(80), 1), pa.float64()), 0.4),
        "CloseDate": dates(close),
        "Type": dice.sometimes(dice.pick(picklist_of(block, "Type")), 0.8),
        "NextStep": only_where(pc.invert(closed), dice.sometimes(block.word("next_steps"), 0.6)),
        "LeadSource": dice.sometimes(dice.pick(picklist_of(block, "LeadSource")), 0.7),
        "IsClosed": closed,
        "IsWon": _by_stage(stage, {name: stage.won for name, stage in STAGES.items()}),
        "ForecastCategory": _by_stage(stage, {name: stage.category for name, stage in STAGES.items()}),
        "ForecastCategoryName": _by_stage(stage, {name: stage.category_name for name, stage in STAGES.items()}),
        "CampaignId": block.optional_reference("Campaign", 0.3),
        "HasOpportunityLineItem": with_lines,
        "Pricebook2Id": only_where(with_lines, block.constant(block.pricebook_id)),
        "LastStageChangeDate": stamps(block.modified),
        **_fiscal(close),
        "ContactId": block.optional_reference("Contact", 0.5),
    }


def opportunity_contact_role(block: Block) -> Columns:
    """Who plays what part in a deal."""
    dice = block.dice
    return {
        "OpportunityId": block.reference("Opportunity"),
        "ContactId": block.reference("Contact"),
        "Role": dice.sometimes(dice.pick(picklist_of(block, "Role")), 0.85),
        "IsPrimary": dice.chance(0.3),
    }


def opportunity_line_item(block: Block) -> Columns:
    """Lines of deals, spread over the opportunities in their order."""
    dice = block.dice
    deals = block.required("Opportunity")
    quantity = pc.cast(pc.add(dice.numbers(24), 1), pa.float64())
    price = sum_of_money(block, low=0.7, high=4.0)
    return {
        "OpportunityId": deals.ids(pc.divide(pc.multiply(block.positions, deals.count), block.total)),
        **_entry_and_product(block),
        "Quantity": quantity,
        "UnitPrice": price,
        "ListPrice": price,
        "TotalPrice": rounded(pc.multiply(quantity, price), 2),
        "Description": dice.sometimes(block.word("product_lines"), 0.3),
    }


def campaign(block: Block) -> Columns:
    """Campaigns of a few weeks; costs stay near their budget."""
    dice = block.dice
    start = pc.add(block.created, pc.multiply(dice.numbers(60), DAY_S))
    end = pc.add(start, pc.multiply(pc.add(dice.numbers(80), 1), DAY_S))
    over = pc.less(end, block.until)
    begun = pc.less(start, block.until)
    status = pc.if_else(over, "Completed", pc.if_else(begun, "In Progress", "Planned"))
    budget = pc.cast(pc.multiply(pc.add(dice.numbers(90), 1), 500), pa.float64())
    return {
        "Name": joined(block.word("seasons"), " ", block.word("campaign_themes"), " ", pc.cast(year_of(start), pa.string())),
        "Type": dice.pick(picklist_of(block, "Type")),
        "Status": status,
        "StartDate": dates(start),
        "EndDate": dates(end),
        "BudgetedCost": budget,
        "ActualCost": only_where(over, pc.round(pc.multiply(budget, pc.add(dice.fractions(), 0.5)))),
        "ExpectedRevenue": pc.multiply(budget, pc.cast(pc.add(dice.numbers(9), 2), pa.float64())),
        "IsActive": pc.and_(begun, pc.invert(over)),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.6),
    }


def product2(block: Block) -> Columns:
    """Things to sell, each with a code of its own."""
    dice = block.dice
    return {
        **_product_columns(block, block.serials),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.5),
        "IsActive": dice.chance(0.9),
        "Family": dice.sometimes(dice.weighted({"Hardware": 50, "Software": 20, "Services": 20, "Subscription": 10}), 0.95),
        "QuantityUnitOfMeasure": dice.sometimes(block.constant("Each"), 0.7),
    }


def pricebook2(block: Block) -> Columns:
    """Price books besides the standard one."""
    return {
        "Name": joined(block.word("seasons"), " Prices ", padded(block.serials, 4)),
        "IsActive": block.dice.chance(0.8),
        "IsStandard": block.constant(value=False),
    }


def pricebook_entry(block: Block) -> Columns:
    """Prices in the standard price book, one product after another."""
    products = block.required("Product2")
    positions = _around(block.positions, products.count)
    return {
        **({} if products.listed is not None else _product_columns(block, pc.add(positions, products.first_serial))),
        "Pricebook2Id": block.constant(block.pricebook_id),
        "Product2Id": products.ids(positions),
        "UnitPrice": sum_of_money(block, low=0.7, high=4.3),
        "IsActive": block.dice.chance(0.95),
    }


def _fiscal(close: pa.Array) -> Columns:
    """The fiscal period of the close date, in an org whose year starts in January."""
    year = year_of(close)
    quarter = pc.add(pc.divide(pc.subtract(pc.month(pc.cast(close, pa.timestamp("s"))), 1), _QUARTER_MONTHS), 1)
    text = joined(pc.cast(year, pa.string()), " ", pc.cast(quarter, pa.string()))
    return {"FiscalQuarter": quarter, "FiscalYear": year, "Fiscal": text}


def _by_stage(stage: pa.Array, values: Mapping[str, object]) -> pa.Array:
    """What each row's stage implies."""
    return pa.array(list(values.values())).take(pc.index_in(stage, pa.array(list(values))))


def _has_lines(block: Block) -> pa.Array:
    """Whether line items of the same seeding will point at the deal; see `opportunity_line_item`."""
    lines = block.parents.get("OpportunityLineItem")
    if lines is None or lines.listed is not None:
        return block.constant(value=False)
    before = pc.divide(pc.add(pc.multiply(block.positions, lines.count), block.total - 1), block.total)
    after = pc.divide(pc.add(pc.multiply(pc.add(block.positions, 1), lines.count), block.total - 1), block.total)
    return pc.greater(after, before)


def _entry_and_product(block: Block) -> Columns:
    """A price book entry and the product that it prices, which is known for entries of the same seeding."""
    entries, products = block.parents.get("PricebookEntry"), block.parents.get("Product2")
    if entries is None or products is None:
        return {}
    positions = block.positions_in("PricebookEntry")
    if entries.listed is not None:
        return {"PricebookEntryId": entries.ids(positions)}
    priced = _around(positions, products.count)
    code = {} if products.listed is not None else {"ProductCode": _product_code(pc.add(priced, products.first_serial))}
    return {"PricebookEntryId": entries.ids(positions), "Product2Id": products.ids(priced), **code}


def _around(positions: pa.Array, count: int) -> pa.Array:
    """Positions counted from the start again after every `count`."""
    return pc.subtract(positions, pc.multiply(pc.divide(positions, count), count))


def _product_columns(block: Block, serials: pa.Array) -> Columns:
    """Name and code of the products with those serials; what prices a product repeats them."""
    lists = block.words.lists
    line = lists["product_lines"].take(scattered(serials, len(lists["product_lines"])))
    thing = lists["products"].take(scattered(pc.add(serials, len(lists["products"])), len(lists["products"])))
    name = joined(line, " ", thing, " ", pc.cast(pc.add(serials, 100), pa.string()))
    return {"Name": name, "ProductCode": _product_code(serials)}


def _product_code(serials: pa.Array) -> pa.Array:
    return joined("P-", padded(serials, 6))
