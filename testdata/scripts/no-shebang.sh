#%% /run
java -jar a.jar
