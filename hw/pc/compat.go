package pc

import (
	"slices"

	"goemu/hw/qdev"
)

// compat are the properties that changed after each version of the machines: a machine of a version gets the rows of that version and
// all newer ones.
var compat = []struct {
	version string
	props   [][3]string // driver, property, value
}{
	{"7.1", [][3]string{
		{"virtio-device", "queue_reset", "false"},
		{"virtio-rng-pci", "vectors", "0"},
		{"virtio-rng-pci-transitional", "vectors", "0"},
		{"virtio-rng-pci-non-transitional", "vectors", "0"},
	}},
	{"7.0", [][3]string{
		{"nvme-ns", "eui64-default", "on"},
	}},
	{"6.2", [][3]string{
		{"PIIX4_PM", "x-not-migrate-acpi-index", "on"},
	}},
	{"6.1", [][3]string{
		{"nvme-ns", "shared", "off"},
		{"x86_64-cpu", "hv-version-id-build", "0x1bbc"},
		{"x86_64-cpu", "hv-version-id-major", "0x0006"},
		{"x86_64-cpu", "hv-version-id-minor", "0x0001"},
		{"ICH9-LPC", "x-keep-pci-slot-hpc", "false"},
	}},
	{"6.0", [][3]string{
		{"i8042", "extended-state", "false"},
		{"nvme-ns", "eui64-default", "off"},
		{"e1000", "init-vet", "off"},
		{"e1000e", "init-vet", "off"},
		{"qemu64-x86_64-cpu", "family", "6"},
		{"qemu64-x86_64-cpu", "model", "6"},
		{"qemu64-x86_64-cpu", "stepping", "3"},
		{"x86_64-cpu", "x-vendor-cpuid-only", "off"},
		{"ICH9-LPC", "acpi-pci-hotplug-with-bridge-support", "off"},
		{"ICH9-LPC", "x-keep-pci-slot-hpc", "true"},
	}},
	{"5.2", [][3]string{
		{"ICH9-LPC", "smm-compat", "on"},
		{"ICH9-LPC", "x-smi-cpu-hotunplug", "off"},
		{"PIIX4_PM", "smm-compat", "on"},
		{"virtio-blk-device", "report-discard-granularity", "off"},
		{"virtio-net-pci-base", "vectors", "3"},
		{"nvme", "msix-exclusive-bar", "on"},
	}},
	{"5.1", [][3]string{
		{"ICH9-LPC", "x-smi-cpu-hotplug", "off"},
		{"virtio-blk-device", "num-queues", "1"},
		{"virtio-scsi-device", "num_queues", "1"},
		{"nvme", "use-intel-id", "on"},
		{"pvpanic", "events", "1"},
		{"virtio-pci", "x-ats-page-aligned", "off"},
	}},
	{"5.0", [][3]string{
		{"pci-host-bridge", "x-config-reg-migration-enabled", "off"},
		{"virtio-balloon-device", "page-poison", "false"},
		{"vmport", "x-read-set-eax", "off"},
		{"vmport", "x-signal-unsupported-cmd", "off"},
		{"vmport", "x-report-vmx-type", "off"},
		{"vmport", "x-cmds-v2", "off"},
		{"virtio-device", "x-disable-legacy-check", "true"},
	}},
	{"4.2", [][3]string{
		{"virtio-blk-device", "queue-size", "128"},
		{"virtio-scsi-device", "virtqueue_size", "128"},
		{"virtio-blk-device", "x-enable-wce-if-config-wce", "off"},
		{"virtio-blk-device", "seg-max-adjust", "off"},
		{"virtio-scsi-device", "seg_max_adjust", "off"},
		{"fw_cfg", "acpi-mr-restore", "false"},
		{"virtio-device", "use-disabled-flag", "false"},
		{"mch", "smbase-smram", "off"},
	}},
	{"4.1", [][3]string{
		{"virtio-pci", "x-pcie-flr-init", "off"},
	}},
}

// compatFor returns what a machine of a version sets, the newest version's rows first, so that older ones have the last word.
func compatFor(version string) (out []qdev.Global) {
	at := slices.Index(versions[:], version)
	for _, c := range compat {
		if slices.Index(versions[:], c.version) <= at {
			for _, p := range c.props { // not every device has every property of QEMU's
				out = append(out, qdev.Global{Driver: p[0], Property: p[1], Value: p[2], Optional: true})
			}
		}
	}
	return out
}
