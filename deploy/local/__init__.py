"""The private local stack: PostgreSQL, Mosquitto, the daemons and the simulator below one folder. Used by ./run and by the tests."""
