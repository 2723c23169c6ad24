package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestSMBIOS compares with QEMU the tables that firmware gets, and what is said of wrong options.
func TestSMBIOS(t *testing.T) {
	goemu, qemu := testprog.Goemu(t), testprog.QEMU(t)
	tables := func(program, options string) [2]string {
		in, out, end := talkTo(t, program, append([]string{"-nodefaults", "-display", "none", "-accel", "tcg", "-S", "-qtest", "stdio", "-qtest-log", "none"}, strings.Fields(options)...)...)
		defer end()
		p := &ports{t, in, out}
		return [2]string{p.file("etc/smbios/smbios-anchor"), p.file("etc/smbios/smbios-tables")}
	}
	for _, options := range []string{
		"-M pc -smp 6,sockets=2,dies=1,cores=3,threads=1",
		"-M pc,smbios-entry-point-type=64 -smp 8,sockets=2,cores=2,threads=2",
		"-M q35 -m 17G -smbios type=0,vendor=v,release=1.2,uefi=on -smbios type=1,uuid=00112233-4455-6677-8899-AABBCCDDEEFF,sku=s,family=f,manufacturer=m " +
			"-smbios type=2,location=l,asset=a -smbios type=3,sku=q,asset=b " +
			"-smbios type=4,sock_pfx=P,serial=1,asset=2,part=3,max-speed=3000,current-speed=2600,processor-id=0x1234 " +
			"-smbios type=8,internal_reference=i,external_reference=e,connector_type=3,port_type=4 -smbios type=8 " +
			"-smbios type=17,loc_pfx=L,bank=B,manufacturer=M,serial=S,asset=A,part=T,speed=7 " +
			"-device virtio-rng-pci,id=r,addr=5 -smbios type=41,designation=d,kind=ethernet,instance=2,pcidev=r -smbios type=41,designation=e",
		"-M pc -smbios type=0,version=2 -smbios type=11,value=one,value=two",
	} {
		require.Equal(t, tables(qemu, options), tables(goemu, options), options)
	}
	for _, options := range []string{
		"-smbios type=1,uuid=foo", "-smbios type=41,kind=foo", "-smbios type=4,max-speed=foo", "-smbios type=4,max-speed=65536", "-smbios type=0,release=x",
		"-smbios type=0,uefi=maybe", "-smbios type=41,designation=d,pcidev=none", "-smbios type=7", "-smbios type=17,foo=1", "-M pc,smbios-entry-point-type=16",
	} {
		args := append([]string{"-nodefaults", "-display", "none", "-accel", "tcg"}, strings.Fields(options)...)
		require.Equal(t, said(t, qemu, args...), said(t, goemu, args...), options)
	}
}
