"""The private local stack below one folder: PostgreSQL, Mosquitto, the daemons, the simulator. Used by ./run and by the tests."""
