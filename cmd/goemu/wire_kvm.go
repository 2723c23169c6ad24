package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"goemu/accel"
	"goemu/accel/kvm"
	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/internal/config"
	"goemu/internal/hostcpu"
	"goemu/internal/memory"
	"goemu/target/x86"
)

// kvmAccel gives the accelerator's CPUs the type that the machine knows.
type kvmAccel struct{ *kvm.Accel }

// NewCPU implements pc.Accelerator.
func (a kvmAccel) NewCPU(index int, apicID uint32) (pc.CPU, error) {
	return a.Accel.NewCPU(index, apicID)
}

// Remove implements pc.Accelerator.
func (a kvmAccel) Remove(c pc.CPU) { a.Accel.Remove(c.(*kvm.CPU)) }

// kvmOptions are the properties of -accel kvm.
type kvmOptions struct {
	irqchip string // a key of irqchips
	ring    uint32 // entries of a CPU's dirty ring, 0 for none
	notify  kvm.NotifyExit
	window  uint32 // of it
}

// irqchips are the interrupt controllers in the kernel by the value of kernel-irqchip.
var irqchips = map[string]accel.Chips{"on": accel.ChipsAll, "split": accel.ChipsLocal, "off": accel.ChipsNone}

// parseKVM reads the properties that -accel gave, and before them those that -machine gave.
func parseKVM(o config.Options, machine config.Options) (k kvmOptions, err error) {
	k.irqchip = "on"
	for i, p := range append(slices.Clone(machine.Pairs), o.Without("accel").Pairs...) {
		v, _ := p.Value.(string)
		switch p.Key {
		case "kernel-irqchip":
			k.irqchip = v
			if _, ok := irqchips[v]; !ok {
				err = fmt.Errorf("Parameter 'kernel-irqchip' does not accept value '%s'", v)
			}
		case "kvm-shadow-mem": // of hosts without nested paging; the kernel finds its own size
			if _, e := strconv.ParseUint(v, 0, 64); e != nil {
				err = fmt.Errorf("Parameter 'kvm-shadow-mem' expects a number")
			}
		case "dirty-ring-size":
			if k.ring, err = number32(p.Key, v); err == nil && k.ring&(k.ring-1) != 0 {
				err = errors.New("dirty-ring-size must be a power of two.")
			}
		case "notify-vmexit":
			if k.notify.UnmarshalText([]byte(v)) != nil {
				err = fmt.Errorf("Parameter 'notify-vmexit' does not accept value '%s'", v)
			}
		case "notify-window":
			k.window, err = number32(p.Key, v)
		default:
			err = fmt.Errorf("Property 'kvm-accel.%s' not found", p.Key)
		}
		switch {
		case err == nil:
		case i < len(machine.Pairs):
			return k, optionError{fmt.Errorf("can't apply global kvm-accel.%s=%s: %w", p.Key, v, err)}
		default:
			return k, optionError{at(o.Origin, err)}
		}
	}
	return k, nil
}

// number32 reads a property that is a number of 32 bits.
func number32(name, v string) (uint32, error) {
	text, negative := strings.CutPrefix(v, "-")
	n, err := strconv.ParseUint(text, 0, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("Parameter '%s' expects uint64", name)
	case negative || n > math.MaxUint32:
		return 0, fmt.Errorf("Parameter '%s' expects uint32_t", name)
	}
	return uint32(n), nil
}

// chooseKVM is -accel kvm: the host's processor executes the guest.
func (s *session) chooseKVM(o config.Options, c *pc.Config) error {
	k, err := parseKVM(o, s.vm.KVM)
	if err != nil {
		return err
	}
	h, err := kvm.Open()
	if err != nil {
		return err
	}
	if err := s.fitKVM(h, &k, c); err != nil {
		h.Close()
		return optionError{err}
	}
	c.NewAccel = func(mem, smm *memory.AddressSpace, m accel.Machine) (pc.Accelerator, error) {
		a, err := kvm.New(kvm.Options{Host: h, Config: c.CPU, Memory: mem, SMM: smm, Ports: m.(portSpace).Ports(), Machine: m, Chips: irqchips[k.irqchip], DirtyRing: k.ring, Notify: k.notify, NotifyWindow: k.window, Warn: warn})
		if err != nil {
			return nil, err
		}
		if a.HasStats() {
			s.stats = a.Stats
		}
		return kvmAccel{a}, nil
	}
	return nil
}

// portSpace is a machine whose ports are an address space.
type portSpace interface{ Ports() *memory.AddressSpace }

// fitKVM makes the machine one that the host can execute.
func (s *session) fitKVM(h *kvm.Host, k *kvmOptions, c *pc.Config) (err error) {
	if k.ring, err = h.CheckRing(k.ring, warn); err != nil {
		return err
	}
	if err := h.CheckCPUs(s.vm.SMP.MaxCPUs); err != nil {
		return err
	}
	for _, w := range []string{h.Recommended(c.CPUs, "SMP"), h.Recommended(s.vm.SMP.MaxCPUs, "hotpluggable")} {
		if w != "" {
			warn(w)
		}
	}
	switch {
	case h.HasSMM():
	case c.Props.SMM == qdev.On:
		return errors.New("System Management Mode not supported by this hypervisor.")
	case c.Props.SMM == qdev.Auto:
		c.Props.SMM = qdev.Off
	}
	if chips := irqchips[k.irqchip]; chips != accel.ChipsNone {
		if err := h.CheckChips(chips); err != nil {
			return err
		}
		switch c.Props.IOAPIC2 {
		case qdev.On:
			return errors.New("a second I/O APIC needs kernel-irqchip=off")
		case qdev.Auto:
			c.Props.IOAPIC2 = qdev.Off
		}
	}
	if s.processor, err = hostProcessor(h, irqchips[k.irqchip]); err != nil {
		return err
	}
	if c.CPU, err = s.cpuConfig(c, s.processor); err != nil {
		return err
	}
	if c.CPU.Features.Has(x86.FeatInvTSC) && c.CPU.TSCFrequency == 0 { // another host counts at another rate
		s.unmovable = "State blocked by non-migratable CPU device (invtsc flag)"
	}
	s.unmovable = cmp.Or(c.CPU.HyperV.Blocker(), s.unmovable)
	return nil
}

// hostProcessor describes the processor that guests are executed by.
func hostProcessor(h *kvm.Host, chips accel.Chips) (p *x86.Host, err error) {
	p = &x86.Host{Vendor: h.Vendor(), Features: h.Features(chips), X2APIC: chips != accel.ChipsNone, ExtDestID: chips == accel.ChipsLocal, ModelID: hostcpu.Brand()}
	p.Level, p.XLevel, p.PhysBits = h.Levels()
	p.Family, p.Model, p.Stepping = hostcpu.Signature()
	p.HyperV, err = h.HyperV()
	return p, err
}
