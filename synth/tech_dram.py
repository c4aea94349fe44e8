"""DRAM prices, the same in every profile."""

from synth.tech_tables import Entry, number, other, row

DEVICE = "DDR3-1600, four 4 Gb x16"


def dram() -> dict[str, Entry]:
    """DDR3-1600, 64 bits wide: four 4 Gb x16 devices. Band: other parts, and termination that never switches off."""
    main, big, narrow = "DDR3_4Gb_x16_1600", "DDR3_8Gb_x16_1600", "DDR3_4Gb_x8_1600"

    def core(quantity: str, scale: float = 1.0, narrow_scale: float = 1.0) -> Entry:
        values = [number(row("dram", type_config=part, quantity=quantity), "value") for part in (main, big, narrow)]
        scaled = [values[0] * scale, values[1] * scale, values[2] * narrow_scale]
        text = f"DRAMsim3 from datasheet IDD, {main} {quantity} {values[0]:g}"
        text += f" x{scale:g}" if scale != 1.0 else ""
        text += "; band: 8 Gb x16 and 4 Gb x8 parts (dram.csv)"
        return Entry(scaled[0], min(scaled), max(scaled), other("ddr3_vdd"), text)

    full_rate_gbit = 1.6 * 64
    io = {}
    for way in ("READ", "WRITE", "IDLE"):
        for share in ("1.0", "0.5"):
            item = row("dram", type_config=f"DDR3_IO_{way}_64dq_800MHz_act{share}")
            dynamic = float(item["quantity"].partition("dyn+phy=")[2].rstrip(")"))
            io[way, share] = (dynamic, number(item, "value") - dynamic)
    entries = {}
    for way in ("read", "write"):
        entries[f"{way}_core_pj_per_bit"] = core(f"{way[0]}{'d' if way == 'read' else 'r'}_core_pJ_bit")
        half, full = io[way.upper(), "0.5"], io[way.upper(), "1.0"]
        text = f"CACTI-IO DDR3-1600, 64 DQ, activity 0.5, dynamic and PHY {half[0]:g} pJ/bit; low: -20 %; high: 1.0"
        entries[f"{way}_io_pj_per_bit"] = Entry(half[0], 0.8 * half[0], full[0], other("ddr3_vdd"), text)
        text = f"CACTI-IO DDR3-1600, 64 DQ: total less dynamic {half[1]:.2f} pJ/bit, while a burst moves; low: half"
        entries[f"{way}_termination_pj_per_bit"] = Entry(half[1], 0.5 * half[1], half[1], other("ddr3_vdd"), text)
    entries["activate_pj_per_row"] = core("act_pre_nJ_per_row", 4e3, 8e3)
    entries["background_mw"] = core("background_mW_per_device", 4.0, 8.0)
    refresh = row("dram", type_config=main, quantity="refresh_pJ_bit_at_peak")
    peak = number(refresh, "value") * full_rate_gbit
    text = (
        f"DRAMsim3, {main} {number(refresh, 'value'):g} pJ/bit at {full_rate_gbit:g} Gbit/s; low: half; high: x8 parts"
    )
    high = number(row("dram", type_config=narrow, quantity="refresh_pJ_bit_at_peak"), "value") * full_rate_gbit
    entries["refresh_mw"] = Entry(peak, 0.5 * peak, high, other("ddr3_vdd"), text)
    idle = io["IDLE", "0.5"][1] * full_rate_gbit
    text = f"on-die termination off between bursts; high: CACTI-IO idle bus, {idle:.0f} mW, as if it never switched off"
    entries["idle_termination_mw"] = Entry(0.0, 0.0, idle, other("ddr3_vdd"), text)
    return entries
