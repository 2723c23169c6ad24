package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestPCIConfig compares configuration spaces with QEMU's, what the guest can change in them included, and the first registers of cards with ports.
func TestPCIConfig(t *testing.T) {
	bin, qemu := testprog.Goemu(t), testprog.QEMU(t)
	const ecam, devfn = 0xb0000000, 5 << 3
	for _, c := range []struct {
		device string
		port   bool // behind a port of PCI Express
		size   int
		io     int // bytes of the first BAR, which has ports
	}{
		{"pci-serial,prog_if=5", false, 0x100, 8}, {"pci-serial-2x", false, 0x100, 16}, {"pci-serial-4x", false, 0x100, 32},
		{"virtio-rng-pci,aer=on,ats=on", true, 0x180, 0}, {"virtio-rng-pci,ats=on,x-ats-page-aligned=off", true, 0x120, 0}, {"virtio-rng-pci,aer=on", true, 0x180, 0},
		{"virtio-rng-pci,aer=on,ats=on", false, 0x100, 0}, {"virtio-rng-pci,x-disable-pcie=on", true, 0x100, 0},
		{"virtio-rng-pci,x-pcie-deverr-init=off,x-pcie-lnkctl-init=off,x-pcie-pm-init=off,x-pcie-flr-init=off", true, 0x100, 0},
	} {
		at := ecam + devfn<<12
		commands := []string{"outl 0xcf8 0x80000060", fmt.Sprintf("outl 0xcfc %#x", ecam|1)}
		args := []string{"-M", "pc-q35-7.2", "-m", "16", "-nodefaults", "-display", "none", "-qtest", "stdio", "-qtest-log", "none", "-accel", "tcg", "-S"}
		if c.port {
			args = append(args, "-device", "pcie-root-port,id=p,addr=05.0,chassis=1", "-device", c.device+",bus=p")
			commands = append(commands, fmt.Sprintf("writel %#x 0x10100", at+0x18))
			at = ecam + 1<<20
		} else {
			args = append(args, "-device", c.device+",addr=05.0")
		}
		for reg := 0; reg < c.size; reg += 4 {
			commands = append(commands, fmt.Sprintf("readl %#x", at+reg))
		}
		for reg := 4; reg < c.size; reg += 4 {
			for _, v := range []string{"0xffffffff", "0"} {
				commands = append(commands, fmt.Sprintf("writel %#x %s", at+reg, v), fmt.Sprintf("readl %#x", at+reg))
			}
		}
		if c.io > 0 {
			commands = append(commands, fmt.Sprintf("writel %#x 0xc000", at+0x10), fmt.Sprintf("writel %#x 1", at+4))
			for port := range c.io {
				for _, v := range []string{"0x1b", "0x05"} {
					commands = append(commands, fmt.Sprintf("outb %#x %s", 0xc000+port, v), fmt.Sprintf("inb %#x", 0xc000+port), fmt.Sprintf("readl %#x", at+4))
				}
			}
			commands = append(commands, fmt.Sprintf("inb %#x", 0xc000+c.io))
		}
		want, got := converse(t, qemu, args, commands), converse(t, bin, args, commands)
		for i := range want {
			require.Equal(t, want[i], got[i], "%s: %s", c.device, strings.Join(commands[max(0, i-2):i+1], "; "))
		}
	}
}
