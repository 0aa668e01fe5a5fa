//! A payment gateway and a carrier, simulated as real HTTP services.
