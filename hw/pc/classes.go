package pc

import (
	"goemu/hw/dma/i8257"
	"goemu/hw/firmware/fwcfg"
	"goemu/hw/flash"
	"goemu/hw/input"
	"goemu/hw/intc/apic"
	"goemu/hw/intc/i8259"
	"goemu/hw/intc/ioapic"
	"goemu/hw/isa"
	"goemu/hw/misc"
	"goemu/hw/pc/i440fx"
	"goemu/hw/pc/ich9"
	pcpiix "goemu/hw/pc/piix"
	"goemu/hw/pc/q35"
	"goemu/hw/qdev"
	"goemu/hw/timer/hpet"
	"goemu/hw/timer/i8254"
	"goemu/hw/timer/mc146818"
	"goemu/hw/virtio/transport"
	"goemu/hw/vmport"
)

// Chips lists the device types that the machines make by themselves and nobody else can.
func Chips() []*qdev.Class {
	return append([]*qdev.Class{
		&isa.BridgeClass, &apic.Class, &ioapic.Class, &i8259.Class, &i8257.Class, &i8254.Class, &i8254.KernelClass, &i8254.SpeakerClass, &mc146818.Class, &hpet.Class,
		&fwcfg.Class, &flash.Class, &misc.GEDClass, transport.MMIOClass, &vmport.Class, &vmport.MouseClass,
		&i440fx.Class, &i440fx.HostClass, &pcpiix.PIIX3Class, &pcpiix.PMClass,
		&q35.Class, &q35.HostClass, &ich9.Class, &ich9.SMBusClass,
	}, input.Classes...)
}
