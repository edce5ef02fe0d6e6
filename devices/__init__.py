"""The branch gateway: reads the meters of one health corner, keeps every packet, and passes sealed readings on."""
