package main

import (
	"fmt"
	"os"
	"strings"

	"goemu/hw/pci"
	"goemu/internal/cli"
	"goemu/internal/monitor/uicmd"
	"goemu/ui"
	"goemu/ui/input"
)

// vgaDevices are the device types of -vga's adapters.
var vgaDevices = map[string]string{"std": "VGA"}

// vgaHelp is the answer to -vga help.
func vgaHelp() string {
	var b strings.Builder
	for _, t := range cli.VGATypes {
		if t.Desc != "" {
			fmt.Fprintf(&b, "%-20s %s%s\n", t.Name, t.Desc, map[bool]string{true: " (default)"}[t.Name == "std"])
		}
	}
	return b.String()
}

// displayAdapters are the devices with which a machine does not get an adapter that nobody asked for.
var displayAdapters = map[string]bool{"VGA": true}

// vgaName is the adapter that the machine gets.
func (s *session) vgaName() string {
	if s.vm.VGA != "" {
		return s.vm.VGA
	}
	if s.vm.NoDefaults || !s.typ.HasVGA {
		return "none"
	}
	for _, o := range s.vm.Devices {
		if name, _ := o.Get("driver"); displayAdapters[name] {
			return "none"
		}
	}
	return "std"
}

// prepareDisplay tells devices where firmware is found.
func (s *session) prepareDisplay() {
	pci.FindROM = func(name string) string { return findFirmware(name, s.vm.DataDirs) }
	ui.FindROM = func() []byte {
		b, _ := os.ReadFile(findFirmware("vgabios-stdvga.bin", s.vm.DataDirs)) // without it text consoles have no font
		return b
	}
}

// uiService makes the service of the commands about screens.
func (s *session) uiService() *uicmd.Service {
	return &uicmd.Service{Tree: s.mon.objects.device.Tree, Consoles: ui.Main, Input: input.Main}
}
