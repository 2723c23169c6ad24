package qtest

import (
	"math/rand/v2"
	"testing"

	"goemu/hw/misc"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
)

func TestPCITestDevice(t *testing.T) {
	m := newMachine(t)
	if _, err := m.tree.Create(&misc.PCITestClass, m.host.Bus, qdev.Setting{Name: "addr", Value: "05.0"}); err != nil {
		t.Fatal(err)
	}
	m.tree.Reset()
	p := &pair{t: t, m: m, q: qtest.Start(t, "-M", "pc-i440fx-7.2", "-nodefaults", "-m", "128", "-device", "pci-testdev,addr=05.0")}
	const devfn, io, mem = 5 << 3, 0xc000, 0xfebf0000
	for reg := 0; reg < 0x40; reg += 4 {
		p.config(devfn, reg, 4)
	}
	p.setConfig(devfn, 0x10, 4, mem)
	p.setConfig(devfn, 0x14, 4, io)
	p.setConfig(devfn, 4, 2, 3)
	rng := rand.New(rand.NewPCG(9, 1))
	for range 12 {
		p.store(mem, 1, uint64(rng.IntN(4)))
		if rng.IntN(2) == 0 {
			p.out(io, 1, uint32(rng.IntN(4)))
		}
		for i := range uint64(24) {
			p.load(mem+i*2, 1)
			p.in(io+uint16(i*2), 1)
		}
		offset := p.load(mem+4, 4)
		for _, v := range []uint64{0xfa, 0xce, 0} {
			if offset >= 2048 {
				p.store(mem+offset, 1, v)
			} else if offset != 0 {
				p.out(io+uint16(offset), 1, uint32(v))
			}
		}
		for i := range uint64(4) {
			p.load(mem+12+i, 1)
		}
	}
}
