package pc

import (
	"fmt"

	"goemu/hw/qdev"
)

// usbSlot is the place of the q35's USB controllers.
const usbSlot = 0x1d

// usbFunction is the USB controller in the PIIX.
func (m *Machine) usbFunction() error {
	if !m.cfg.Props.USB {
		return nil
	}
	_, err := m.Tree.Create(m.cfg.Registry.Lookup("piix3-usb-uhci"), m.pci, qdev.Setting{Name: "addr", Value: "01.2"})
	return err
}

// usbController is the USB controllers of the ICH9: one for high speed and its companions.
func (m *Machine) usbController() error {
	if !m.cfg.Props.USB {
		return nil
	}
	create := func(name string, function int, more ...qdev.Setting) (qdev.Device, error) {
		set := append([]qdev.Setting{{Name: "addr", Value: fmt.Sprintf("%x.%d", usbSlot, function)}, {Name: "multifunction", Value: "on"}}, more...)
		return m.Tree.Create(m.cfg.Registry.Lookup(name), m.pci, set...)
	}
	master, err := create("ich9-usb-ehci1", 7)
	if err != nil {
		return err
	}
	bus := master.Dev().Buses()[0].Name()
	for i, name := range []string{"ich9-usb-uhci1", "ich9-usb-uhci2", "ich9-usb-uhci3"} {
		if _, err := create(name, i, qdev.Setting{Name: "masterbus", Value: bus}, qdev.Setting{Name: "firstport", Value: fmt.Sprint(2 * i)}); err != nil {
			return err
		}
	}
	return nil
}

// usbNames are the devices of -usbdevice.
var usbNames = map[string]string{"keyboard": "usb-kbd", "mouse": "usb-mouse", "tablet": "usb-tablet"}

// AddUSB makes a device as -usbdevice does.
func (m *Machine) AddUSB(name string) error {
	class := m.cfg.Registry.Lookup(usbNames[name])
	if class == nil {
		return fmt.Errorf("could not add USB device '%s'", name)
	}
	bus := m.Tree.FirstBus(class)
	if bus == nil {
		return fmt.Errorf("no usb bus to attach usbdevice %s, please try -machine usb=on and check that the machine model supports USB", name)
	}
	if _, err := m.Tree.Create(class, bus); err != nil {
		return fmt.Errorf("Failed to initialize USB device '%s': %w", class.Name, err)
	}
	return nil
}
