package nvme

import (
	"fmt"

	"goemu/hw/qdev"
	"goemu/internal/qom"
)

// warnings are critical ones of the health log, which people may switch on for the guest to see (NVMe 1.4, section 5.14.1.2).
type warnings uint8

const (
	smartSpare       warnings = 1 << 0
	smartTemperature warnings = 1 << 1
	smartReliability warnings = 1 << 2
	smartReadOnly    warnings = 1 << 3
	smartVolatile    warnings = 1 << 4
	smartPersistent  warnings = 1 << 5 // memory region is unreliable
)

// HideDefault implements what qdev asks for.
func (warnings) HideDefault() {}

// OfObject implements what qdev asks for.
func (warnings) OfObject() {}

const propHealth = "smart_critical_warning"

// checkHealth checks warnings that people ask for.
func (c *Controller) checkHealth(v warnings) error {
	known := smartSpare | smartTemperature | smartReliability | smartReadOnly | smartVolatile
	if c.PMR != nil {
		known |= smartPersistent
	}
	if v&^known != 0 {
		return fmt.Errorf("unsupported smart critical warning bits: 0x%x", uint8(v&^known))
	}
	return nil
}

// showHealth makes the property change with the device.
func (c *Controller) showHealth(n *qom.Node) {
	if n == nil {
		return
	}
	n.AddProperty(qom.Property{Name: propHealth, Type: "uint8", Get: func() any { return uint64(c.Health) }, Set: c.setHealth})
}

// setHealth changes the warnings and tells the driver of new ones.
func (c *Controller) setHealth(v any) error {
	text, err := qdev.Text(propHealth, v)
	if err != nil {
		return err
	}
	var to uint8
	if n, err := fmt.Sscan(text, &to); n != 1 || err != nil {
		return fmt.Errorf("Parameter '%s' expects uint8_t", propHealth)
	}
	if err := c.checkHealth(warnings(to)); err != nil {
		return err
	}
	was := c.Health
	c.Health = warnings(to)
	for w := warnings(1); w != 0; w <<= 1 {
		if c.Health&^was&w != 0 {
			c.tellHealth(w)
		}
	}
	return nil
}

// tellHealth tells the driver of a warning if it wants to know.
func (c *Controller) tellHealth(w warnings) {
	if c.features.events&uint32(w) == 0 {
		return
	}
	info := uint8(eventReliability)
	switch w {
	case smartSpare:
		info = eventSpare
	case smartTemperature:
		info = eventTemperature
	}
	c.enqueueEvent(event{eventSmart, info, logSmart})
}
