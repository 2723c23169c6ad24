package ehci

import (
	"fmt"

	"goemu/hw/pci"
	"goemu/migration/vmstate"
)

var coreState = vmstate.Description[Controller]{Name: "ehci-core", Version: 2, MinVersion: 1,
	PreSave: func(c *Controller) { // only whole frames migrate
		c.lastRun -= uint64(c.frame&7) * microframeNS
		c.frame &^= 7
	},
	PostLoad: func(c *Controller, _ int) error {
		for i := range c.ports {
			if p := &c.ports[i]; p.companion != nil {
				p.companion.SetDevice(nil)
				if c.portStatus[i]&portOwner != 0 {
					p.companion.SetDevice(p.Device())
				}
			}
		}
		for s := range c.states {
			if c.states[s] != stateInactive && c.states[s] != stateActive {
				c.states[s] = stateActive
			}
		}
		c.frame &= frameLimit - 1
		c.stepdown = min(c.stepdown, c.MaxFrames)
		return nil
	},
	Fields: append(append([]vmstate.Field[Controller]{
		vmstate.Of("usbcmd", func(c *Controller) *uint32 { return &c.command }),
		vmstate.Of("usbsts", func(c *Controller) *uint32 { return &c.status }),
		vmstate.Of("usbsts_pending", func(c *Controller) *uint32 { return &c.pending }).Since(2),
		vmstate.Of("usbsts_frindex", func(c *Controller) *uint32 { return &c.pendingFrame }).Since(2),
		vmstate.Of("usbintr", func(c *Controller) *uint32 { return &c.enable }),
		vmstate.Of("frindex", func(c *Controller) *uint32 { return &c.frame }),
		vmstate.Of("ctrldssegment", func(c *Controller) *uint32 { return &c.segment }),
		vmstate.Of("periodiclistbase", func(c *Controller) *uint32 { return &c.periodicBase }),
		vmstate.Of("asynclistaddr", func(c *Controller) *uint32 { return &c.asyncBase }),
		vmstate.Of("configflag", func(c *Controller) *uint32 { return &c.configured }),
	}, portFields()...),
		vmstate.Timer("frame_timer", func(c *Controller) vmstate.TimerState { return c.timer }),
		vmstate.Of("last_run_ns", func(c *Controller) *uint64 { return &c.lastRun }),
		vmstate.Of("async_stepdown", func(c *Controller) *uint32 { return &c.stepdown }),
		vmstate.Of("astate", func(c *Controller) *uint32 { return &c.states[async] }),
		vmstate.Of("pstate", func(c *Controller) *uint32 { return &c.states[periodic] }),
		vmstate.Of("a_fetch_addr", func(c *Controller) *uint32 { return &c.fetch[async] }),
		vmstate.Of("p_fetch_addr", func(c *Controller) *uint32 { return &c.fetch[periodic] }),
	)}

func portFields() (list []vmstate.Field[Controller]) {
	for i := range ports {
		list = append(list, vmstate.Of(fmt.Sprintf("portsc[%d]", i), func(c *Controller) *uint32 { return &c.portStatus[i] }))
	}
	return list
}

var state = vmstate.Description[Controller]{Name: "ehci", Version: 2, MinVersion: 1,
	Fields: []vmstate.Field[Controller]{
		vmstate.Struct("pcidev", &pci.State, func(c *Controller) *pci.Device { return &c.Device }),
		vmstate.Struct("ehci", &coreState, func(c *Controller) *Controller { return c }).Since(2),
	}}

// Started looks at the schedules: what the devices have to do is rebuilt from them.
func (c *Controller) Started() {
	if c.states[async] != stateInactive {
		c.runAsync()
	}
}
