package virtio

// InUse tells whether a driver uses the device: it has said that it is ready, or notified a queue before, as legacy drivers may.
func (d *Device) InUse() bool { return d.driverOK() || d.kicked }

// StartsOnKick tells whether a notification would start the device.
func (d *Device) StartsOnKick() bool { return d.startOnKick }

// ServerFeatures are the offered features as far as the server in another process decides them; zero without one.
func (d *Device) ServerFeatures() uint64 {
	if d.outside == nil {
		return 0
	}
	return d.HostFeatures()
}

// Served tells whether another process serves rings now.
func (d *Device) Served() bool {
	if d.outside == nil {
		return false
	}
	d.outside.mu.Lock()
	defer d.outside.mu.Unlock()
	return d.outside.run != nil
}
