// Package energy defines the records of energy that the roles exchange: readings of
// meters, gaps between them, phases, and the conversion from microjoules to watt-hours and
// grams of CO2e.
//
// Energy is integers, in microjoules, so that sums do not depend on their order
// and conservation can be checked exactly: the parts of a reading add up to the
// reading, the readings of a device to the device, devices to the host, hosts
// to the cluster. Carbon is never stored with energy. It is derived from it by
// a Factor, which has a source and a year and may be replaced by a better one.
//
// Time without a measurement is a Gap, never a zero; an estimate says so in its Method.
// The package does no input or output and has no clock.
package energy
