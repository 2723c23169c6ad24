package pc

import (
	"slices"

	"goemu/hw/qdev"
)

// compat are the properties that changed after each version of the machines: a machine of a version gets the rows of that version and
// all newer ones.
var compat = []struct {
	version string
	props   []qdev.Global
}{
	{"7.1", []qdev.Global{
		{Driver: "virtio-device", Property: "queue_reset", Value: "false"},
		{Driver: "virtio-rng-pci", Property: "vectors", Value: "0"},
		{Driver: "virtio-rng-pci-transitional", Property: "vectors", Value: "0"},
		{Driver: "virtio-rng-pci-non-transitional", Property: "vectors", Value: "0"},
	}},
	{"6.2", []qdev.Global{{Driver: "PIIX4_PM", Property: "x-not-migrate-acpi-index", Value: "on"}}},
	{"6.0", []qdev.Global{{Driver: "i8042", Property: "extended-state", Value: "false"}}},
	{"5.2", []qdev.Global{
		{Driver: "PIIX4_PM", Property: "smm-compat", Value: "on"},
		{Driver: "virtio-blk-device", Property: "report-discard-granularity", Value: "off"},
	}},
	{"5.1", []qdev.Global{
		{Driver: "virtio-blk-device", Property: "num-queues", Value: "1"},
		{Driver: "virtio-pci", Property: "x-ats-page-aligned", Value: "off"},
		{Driver: "pvpanic", Property: "events", Value: "1"},
	}},
	{"5.0", []qdev.Global{
		{Driver: "pci-host-bridge", Property: "x-config-reg-migration-enabled", Value: "off"},
		{Driver: "virtio-balloon-device", Property: "page-poison", Value: "false"},
	}},
	{"4.2", []qdev.Global{
		{Driver: "virtio-blk-device", Property: "queue-size", Value: "128"},
		{Driver: "virtio-blk-device", Property: "x-enable-wce-if-config-wce", Value: "off"},
		{Driver: "virtio-blk-device", Property: "seg-max-adjust", Value: "off"},
		{Driver: "fw_cfg", Property: "acpi-mr-restore", Value: "false"},
		{Driver: "virtio-device", Property: "use-disabled-flag", Value: "false"},
	}},
}

// compatFor returns what a machine of a version sets, the newest version's rows first, so that older ones have the last word.
func compatFor(version string) (out []qdev.Global) {
	at := slices.Index(versions[:], version)
	for _, c := range compat {
		if slices.Index(versions[:], c.version) <= at {
			for _, g := range c.props {
				g.Optional = true // not every device has every property of QEMU's
				out = append(out, g)
			}
		}
	}
	return out
}
