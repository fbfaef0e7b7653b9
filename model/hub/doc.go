// Package hub finds models: by registry name, hub id, folder or file. What is
// not on this machine is fetched once into a cache folder, resumed where it
// broke off and checked against its checksum.
package hub
